"""``tools/test.py`` with various evaluators, on a detector with random weights."""

import importlib
import json
import pickle
import shutil

import pytest
import torch
from conftest import load_tool
from mmdet.registry import METRICS, MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.registry import RUNNERS, init_default_scope
from mmengine.runner import Runner
from mmengine.structures import InstanceData, PixelData
from small_detector import CONFIG, DATA, MODEL

tool = load_tool('test').main
module = importlib.import_module('eca_mmdet.apis.evaluate')  # the package has a function of this name


@METRICS.register_module()
class ImageCount(BaseMetric):
    """Custom metric without a prefix."""

    def process(self, data_batch, data_samples):
        self.results += [1] * len(data_samples)

    def compute_metrics(self, results):
        return dict(images=torch.tensor(len(results)))


@METRICS.register_module()
class Failing(ImageCount):
    def compute_metrics(self, results):
        raise RuntimeError('this metric fails')


def small_config():
    cfg = Config.fromfile(CONFIG)
    cfg.merge_from_dict({**MODEL, **DATA})
    return cfg


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    init_default_scope('mmdet')
    model = MODELS.build(small_config().model)
    path = tmp_path_factory.mktemp('checkpoint') / 'random.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return str(path)


@pytest.fixture
def run(shapes, checkpoint, tmp_path, capsys):
    """Return a function that evaluates with the given evaluator.

    It returns the content of ``results.json`` and the printed text.
    """

    def run_(evaluator, *arguments, score_thr=0.0, **config):
        cfg = small_config()
        cfg.test_evaluator = evaluator
        cfg.merge_from_dict(config)
        cfg.model.test_cfg.rcnn.score_thr = score_thr
        for split in ('val', 'test'):
            cfg[f'{split}_dataloader'].update(num_workers=0, persistent_workers=False)
            if f'{split}_dataloader.dataset.data_root' not in config:
                cfg[f'{split}_dataloader'].dataset.data_root = f'{shapes}/'
        cfg.dump(tmp_path / 'config.py')
        tool([str(tmp_path / 'config.py'), checkpoint, '--work-dir', str(tmp_path), *arguments])
        return json.loads((tmp_path / 'results.json').read_text()), capsys.readouterr().out

    return run_


@pytest.fixture
def coco(shapes):
    def metric(**options):
        return dict(type='CocoMetric', ann_file=f'{shapes}/annotations/instances_val2017.json', **options)

    return metric


def test_metric_items__are_the_only_results(run, coco):
    content, printed = run(coco(metric=['bbox', 'segm'], metric_items=['mAP', 'mAP_50', 'AR@100']))
    assert {kind: set(row) for kind, row in content['results'].items()} == dict.fromkeys(
        ['bbox', 'segm'], {'AP', 'AP50', 'AR@100'}
    )
    assert 'bbox AR@100' in printed


def test_all_types_of_metrics__are_reported(run, coco):
    kinds = ['proposal', 'bbox', 'proposal_fast']
    content, printed = run([coco(metric=kinds), dict(type='ImageCount')])
    assert set(content['results']) == {*kinds, 'other'}
    assert content['results']['other'] == dict(images=4)
    for kind in ('proposal', 'proposal_fast'):
        assert content['results'][kind]['AR@100'] is not None
        assert f'{kind} AR@100' in printed


def test_config_of_a_resumed_training__needs_no_training_data(run, coco):
    content, _ = run(coco(), resume=True, **{'train_dataloader.dataset.data_root': 'gone/'})
    assert content['images'] == 4


def test_proposals_alone__are_not_an_empty_result(run, coco):
    _, printed = run(coco(metric='proposal'), score_thr=0.999)
    assert 'The result is empty' not in printed


def test_format_only__reports_the_result_files(run, coco, tmp_path):
    evaluator = coco(metric=['bbox', 'segm'], format_only=True, outfile_prefix=str(tmp_path / 'sub/found'))
    content, printed = run(evaluator)
    files = [str(tmp_path / f'sub/found.{kind}.json') for kind in ('bbox', 'segm')]
    assert content['result_files'] == files
    assert all(file in printed for file in files)
    assert content['results'] == {}
    assert 'The result is empty' not in printed


def test_results__may_be_written_to_the_home_folder(run, coco, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    evaluator = [coco(), coco(format_only=True, outfile_prefix='~/found')]
    run(evaluator, '--out', '~/predictions.pkl', '--show-dir', '~/shown')
    names = {path.name for path in (tmp_path / 'home').iterdir()}
    assert names == {'predictions.pkl', 'found.bbox.json', 'found.segm.json', 'shown'}


def test_classwise_in_the_config__needs_no_option(run, coco):
    content, _ = run(coco(classwise=True))
    assert set(content['results']['bbox']['per_class']) == {'circle', 'square', 'triangle'}


def test_wrong_option_of_an_evaluator__exits_with_2(run, coco, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(coco(metric_items=['AP']))
    assert exit_.value.code == 2
    assert "metric_items=['AP'] are not supported" in capsys.readouterr().err


def test_option_that_the_runner_rejects__exits_with_2(run, coco, capsys):
    with pytest.raises(SystemExit) as exit_:
        run(coco(), **{'visualizer.type': 'FOO'})
    assert exit_.value.code == 2
    assert 'error: the run cannot be set up: KeyError: FOO' in capsys.readouterr().err


@RUNNERS.register_module()
class CustomRunner(Runner):
    """Custom runner."""


def test_runner_type__is_used(run, coco, monkeypatch):
    built = []
    monkeypatch.setattr(CustomRunner, 'test', lambda self: built.append(self))
    run(coco(), runner_type='CustomRunner')
    assert len(built) == 1


def test_predictions__are_kept_if_a_metric_fails(run, coco, tmp_path):
    out = tmp_path / 'new/folder/predictions.pkl'
    with pytest.raises(RuntimeError, match='this metric fails'):
        run([coco(), dict(type='Failing')], '--out', str(out))
    assert len(pickle.loads(out.read_bytes())) == 4


def test_failed_overview__does_not_lose_results(run, coco, tmp_path, monkeypatch):
    def fail(*_):
        raise ValueError('broken image')

    monkeypatch.setattr(module, 'write_overview', fail)
    content, printed = run(coco(), '--show-dir', str(tmp_path / 'shown'))
    assert 'bbox' in content['results']
    assert 'without an overview: broken image' in printed


def test_images_of_the_same_name__are_all_visualized(run, shapes, tmp_path):
    data = tmp_path / 'data'
    shutil.copytree(shapes / 'val2017', data / 'val2017')
    truth = json.loads((shapes / 'annotations/instances_val2017.json').read_text())
    names = ['a/1.jpg', 'b/1.jpg', 'b/c/1.jpg', '2.jpg']
    for image, name in zip(truth['images'], names):
        (data / 'val2017' / name).parent.mkdir(parents=True, exist_ok=True)
        (data / 'val2017' / image['file_name']).rename(data / 'val2017' / name)
        image['file_name'] = name
    (data / 'truth.json').write_text(json.dumps(truth))
    evaluator = dict(type='FastCocoMetric', ann_file=f'{data}/truth.json')
    dataset = {'data_root': f'{data}/', 'ann_file': 'truth.json'}
    options = {f'test_dataloader.dataset.{key}': value for key, value in dataset.items()}
    _, printed = run(evaluator, '--show-dir', str(tmp_path / 'shown'), **options)
    shown = {str(path.relative_to(tmp_path / 'shown')) for path in (tmp_path / 'shown').rglob('*.jpg')}
    assert shown == set(names)
    assert (tmp_path / 'overview.jpg').is_file()


def test_validation_in_training__supports_metric_items(shapes, checkpoint, tmp_path, coco):
    cfg = small_config()
    cfg.val_evaluator = dict(
        coco(metric=['bbox', 'segm'], metric_items=['mAP', 'mAP_50']), type='FastCocoMetric'
    )
    cfg.val_dataloader.update(num_workers=0, persistent_workers=False)
    cfg.val_dataloader.dataset.data_root = f'{shapes}/'
    cfg.update(work_dir=str(tmp_path), load_from=checkpoint)
    cfg.model.test_cfg.rcnn.score_thr = 0.0
    found = Runner.from_cfg(cfg).val()
    assert set(found) == {f'coco/{kind}_{item}' for kind in ('bbox', 'segm') for item in ('mAP', 'mAP_50')}


@pytest.mark.parametrize(
    ('sample', 'detections', 'uncounted'),
    [
        (DetDataSample(pred_instances=InstanceData(scores=torch.ones(3))), 3, 0),
        (DetDataSample(pred_panoptic_seg=PixelData()), 0, 1),
        (dict(pred_instances=[1, 2]), 2, 0),
        ('something else', 0, 1),
    ],
)
def test_detection_count__supports_any_output(sample, detections, uncounted):
    counts = module.SampleCount()
    counts.after_test_iter(None, 0, None, [sample])
    assert (counts.images, counts.detections, counts.uncounted) == (1, detections, uncounted)
