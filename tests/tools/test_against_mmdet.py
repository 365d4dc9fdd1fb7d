"""Compare tools/train.py and tools/test.py with mmdet's tools on the same unusual configs.

If mmdet's tool finishes training, ours must give the same weights bit for bit. If mmdet's tool ends in a
traceback, ours must print one error message. Intended differences have their own tests.
"""

import importlib.util
import json
import shutil
import sys
from pathlib import Path
from typing import NamedTuple

import mmdet
import pytest
import torch
from conftest import load_tool
from mmengine.logging import MessageHub, MMLogger
from unusual_configs import BROKEN, SAME, VAL, edit_json, retinanet, starts_from_a_backbone_alone, unchanged

from eca_mmdet.checkpoints import read_checkpoint
from eca_mmdet.checkpoints.latest import read_pointer


def mmdet_tool(name):
    """Return a function that runs a tool installed by mmdet with command-line arguments."""
    path = Path(mmdet.__file__).parent / '.mim' / 'tools' / f'{name}.py'
    spec = importlib.util.spec_from_file_location(f'mmdet_{name}', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def main(arguments):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, 'argv', [name, *arguments])
            module.main()

    return main


OURS = {name: load_tool(name).main for name in ('train', 'test')}
MMDET = {name: mmdet_tool(name) for name in ('train', 'test')}


class Outcome(NamedTuple):
    """How a run ended: ``done``, ``refused`` (exit code 2) or ``traceback``, and its output."""

    status: str
    message: str = ''


def run(main, arguments, capsys):
    MMLogger._instance_dict.clear()
    MessageHub._instance_dict.clear()
    capsys.readouterr()
    try:
        main(arguments)
    except SystemExit as stop:
        return Outcome('refused' if stop.code == 2 else f'exit {stop.code}', capsys.readouterr().err)
    except Exception as error:
        return Outcome('traceback', f'{type(error).__name__}: {error}')
    return Outcome('done', capsys.readouterr().out)


def final_weights(work_dir):
    return read_checkpoint(read_pointer(work_dir))['state_dict']


@pytest.fixture
def data(shapes, tmp_path):
    return Path(shutil.copytree(shapes, tmp_path / 'data'))


def write_config(cfg, path):
    path.write_text('\n'.join(f'{key} = {value!r}' for key, value in cfg.items()))
    return str(path)


def prepare(case, data):
    cfg = retinanet(data)
    ours, theirs = case(cfg, data) or ([], [])
    return write_config(cfg, data.parent / 'config.py'), ours, theirs


def train_both(case, data, capsys):
    path, ours, theirs = prepare(case, data)
    here, there = (str(data.parent / name) for name in ('ours', 'mmdet'))
    theirs = run(MMDET['train'], [path, '--work-dir', there, *theirs], capsys)
    return run(OURS['train'], [path, '--work-dir', here, *ours], capsys), theirs


@pytest.mark.parametrize('case', SAME, ids=lambda case: case.__name__)
def test_train__gives_the_same_weights_as_mmdets_tool(case, data, capsys):
    ours, theirs = train_both(case, data, capsys)
    assert (ours.status, theirs.status) == ('done', 'done'), f'{ours.message}\n{theirs.message}'
    weights, expected = (final_weights(data.parent / name) for name in ('ours', 'mmdet'))
    torch.testing.assert_close(weights, expected, rtol=0, atol=0)


@pytest.mark.parametrize('case', BROKEN, ids=lambda case: case.__name__)
def test_train__rejects_configs_that_end_mmdets_tool_in_a_traceback(case, data, capsys):
    ours, theirs = train_both(case, data, capsys)
    assert (ours.status, theirs.status) == ('refused', 'traceback'), f'{ours.message}\n{theirs.message}'
    assert BROKEN[case] in ours.message
    assert 'Traceback' not in ours.message


def test_train__rejects_load_from_a_backbone_where_mmdet_starts_from_random_weights(data, capsys):
    ours, theirs = train_both(starts_from_a_backbone_alone, data, capsys)
    assert (ours.status, theirs.status) == ('refused', 'done'), f'{ours.message}\n{theirs.message}'
    assert 'backbone.pth' in ours.message


@pytest.fixture
def checkpoint(data, capsys):
    """The checkpoint of ``retinanet`` after one epoch; its config is next to the data."""
    path, *_ = prepare(unchanged, data)
    assert run(MMDET['train'], [path, '--work-dir', str(data.parent / 'trained')], capsys).status == 'done'
    return data.parent / 'trained' / 'epoch_1.pth'


def detections(path):
    return sorted(json.loads(Path(path).read_text()), key=lambda item: json.dumps(item, sort_keys=True))


def test_test__without_annotations_writes_the_same_detections_as_mmdets_tool(checkpoint, data, capsys):
    """The annotation file of COCO test-dev has images and categories, but no annotations."""
    edit_json(data / 'annotations/instances_val2017.json', lambda content: content.pop('annotations'))
    cfg = retinanet(data)
    cfg['model']['test_cfg'] = dict(score_thr=0.0)
    cfg['test_dataloader']['dataset']['pipeline'] = [
        step for step in VAL if step['type'] != 'LoadAnnotations'
    ]
    written = {}
    for name, tool in (('ours', OURS), ('mmdet', MMDET)):
        prefix = data.parent / f'{name}_results'
        cfg['test_evaluator'].update(format_only=True, outfile_prefix=str(prefix))
        path = write_config(cfg, data.parent / f'{name}.py')
        work = str(data.parent / name)
        outcome = run(tool['test'], [path, str(checkpoint), '--work-dir', work], capsys)
        assert outcome.status == 'done', outcome.message
        written[name] = detections(f'{prefix}.bbox.json')
    assert written['ours'] == written['mmdet']
    assert written['ours']


@pytest.mark.parametrize('entry', ['model', 'net', 'model_ema'])
def test_test__gives_equal_results_for_every_container(entry, checkpoint, data, capsys):
    """mmdet's tool would evaluate random weights for these checkpoints."""
    torch.save({entry: read_checkpoint(checkpoint)['state_dict']}, data.parent / 'other.pth')
    cfg = retinanet(data)
    cfg['model']['test_cfg'] = dict(score_thr=0.0)
    path, found = write_config(cfg, data.parent / 'test.py'), []
    for weights in (checkpoint, data.parent / 'other.pth'):
        work = data.parent / weights.stem
        outcome = run(OURS['test'], [path, str(weights), '--work-dir', str(work)], capsys)
        assert outcome.status == 'done', outcome.message
        results = json.loads((work / 'results.json').read_text())
        found.append((results['detections'], results['results']))
    assert found[0] == found[1]
    assert found[0][0] > 0
