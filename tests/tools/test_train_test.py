"""Run tools/train.py and tools/test.py on tiny datasets, as a user would."""

import json
import pickle
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from conftest import load_tool
from mmdet.visualization import DetLocalVisualizer
from small_detector import CONFIG, SMALL

from eca_mmdet.checkpoints import read_checkpoint

train = load_tool('train').main
evaluate = load_tool('test').main
report = load_tool('report').main
EVERY_STEP = ('train_cfg.val_interval=1', 'default_hooks.logger.interval=1')


def options(data, *more):
    return ['--cfg-options', f'data_root={data}', *SMALL, *EVERY_STEP, *more]


@pytest.fixture(scope='module')
def trained(shapes, tmp_path_factory):
    """Train one epoch of two iterations."""
    work = tmp_path_factory.mktemp('work')
    train([CONFIG, '--work-dir', str(work), '--seed', '1', *options(shapes, 'train_cfg.max_epochs=1')])
    return work


def test_train__writes_a_checkpoint_and_a_log_with_validation(trained):
    checkpoint = read_checkpoint(trained / 'epoch_1.pth')
    assert checkpoint['meta']['iter'] == 2
    assert all(value.isfinite().all() for value in checkpoint['state_dict'].values())
    log = ''.join(path.read_text() for path in trained.glob('*/*.log'))
    assert 'loss_mask' in log
    assert 'coco/segm_mAP' in log


def test_train__writes_a_report_with_curves_and_details(trained):
    page = (trained / 'report.html').read_text()
    assert 'alt="loss over iterations"' in page
    assert 'alt="confusion matrix, bbox"' in page
    content = json.loads((trained / 'evaluation.json').read_text())
    assert (content['split'], content['iteration']) == ('val', 2)
    assert [item['title'] for item in content['details']] == ['bbox', 'segm']
    shown = [bool(item['examples']) for item in content['details']]
    assert shown == [True, False]
    memory = [json.loads(line).get('memory') for line in next(trained.glob('*/vis_data/scalars.json')).open()]
    assert memory[0] > 100  # MB


def test_report__of_two_runs_is_one_page(trained, shapes, tmp_path, in_tmp, capsys):
    DetLocalVisualizer._instance_dict.clear()  # in one process, it would go on logging to the first run
    other = tmp_path / 'other'
    more = options(shapes, 'model.test_cfg.rcnn.score_thr=0.0', 'model.test_cfg.rcnn.nms.iou_threshold=0.4')
    evaluate([CONFIG, str(trained / 'epoch_1.pth'), '--work-dir', str(other), *more])
    assert 'report: ' in capsys.readouterr().out
    assert (other / 'report.html').is_file()
    report([str(trained), str(other)])
    page = (in_tmp / 'report.html').read_text()
    assert 'model.test_cfg.rcnn.nms.iou_threshold' in page
    assert capsys.readouterr().out == f'report: {in_tmp / "report.html"}\n'


def test_report__of_a_folder_without_a_run_exits_with_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        report([str(tmp_path)])
    assert exit_.value.code == 2
    assert f'error: {tmp_path} holds no run' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_train__with_tensorboard_needs_its_package(shapes, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr('eca_mmdet.apis.run_tracking.is_installed', lambda name: False)
    with pytest.raises(SystemExit) as exit_:
        train([CONFIG, '--work-dir', str(tmp_path), '--tensorboard', *options(shapes)])
    assert exit_.value.code == 2
    assert 'pip install tensorboard' in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_train__validates_with_the_same_metric_as_tools_test(shapes, tmp_path):
    """mmdet's metric assigns APs to the wrong classes if category ids are not in ascending order."""
    more = options(shapes, 'train_cfg.max_epochs=1', 'val_evaluator.type=CocoMetric')
    train([CONFIG, '--work-dir', str(tmp_path), *more])
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert 'COCO evaluation runs on' in log


def test_resume__continues_from_the_last_checkpoint(trained, shapes):
    more = options(shapes, 'train_cfg.max_epochs=2')
    train([CONFIG, '--work-dir', str(trained), '--resume', *more])
    checkpoint = read_checkpoint(trained / 'epoch_2.pth')
    assert checkpoint['meta']['iter'] == 4
    first = read_checkpoint(trained / 'epoch_1.pth')
    assert not torch.equal(
        checkpoint['state_dict']['backbone.conv1.weight'], first['state_dict']['backbone.conv1.weight']
    )


def test_resume__continues_from_a_given_checkpoint(trained, shapes, tmp_path):
    more = options(shapes, 'train_cfg.max_epochs=2')
    train([CONFIG, '--work-dir', str(tmp_path), '--resume', str(trained / 'epoch_1.pth'), *more])
    assert not (tmp_path / 'epoch_1.pth').exists()
    assert read_checkpoint(tmp_path / 'epoch_2.pth')['meta']['epoch'] == 2


@pytest.mark.parametrize('fault', ['truncated', 'another config', 'weights only', 'pointer'])
def test_resume__rejects_unsuitable_checkpoints(trained, shapes, tmp_path, capsys, fault):
    checkpoint, path = read_checkpoint(trained / 'epoch_1.pth'), tmp_path / 'x.pth'
    resume, message = ['--resume', str(path)], 'is a truncated checkpoint'
    if fault == 'another config':
        checkpoint['state_dict'].pop('backbone.conv1.weight')
        message = 'does not fit the config'
    elif fault == 'weights only':
        checkpoint, message = dict(state_dict=checkpoint['state_dict']), 'no training to resume'
    elif fault == 'pointer':
        (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/gone.pth')
        resume, message = ['--resume'], 'gone.pth, which is not there'
    torch.save(checkpoint, path)
    if fault == 'truncated':
        path.write_bytes(path.read_bytes()[:10000])
    with pytest.raises(SystemExit) as exit_:
        train([CONFIG, '--work-dir', str(tmp_path), *resume, *options(shapes)])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_resume__does_not_execute_code_of_the_checkpoint(trained, shapes, tmp_path):
    """mmengine executes meta['config'] of a resumed checkpoint as Python code."""
    checkpoint = read_checkpoint(trained / 'epoch_1.pth')
    checkpoint['meta']['config'] = f"open('{tmp_path}/ran', 'w')"
    torch.save(checkpoint, tmp_path / 'x.pth')
    more = options(shapes, 'train_cfg.max_epochs=2')
    train([CONFIG, '--work-dir', str(tmp_path), '--resume', str(tmp_path / 'x.pth'), *more])
    assert (tmp_path / 'epoch_2.pth').exists()
    assert not (tmp_path / 'ran').exists()


def test_test__prints_one_table_and_writes_json_and_visualizations(trained, shapes, tmp_path, capsys):
    shown = tmp_path / 'pictures'
    more = options(shapes, 'model.test_cfg.rcnn.score_thr=0.0')
    evaluate(
        [
            CONFIG,
            str(trained / 'epoch_1.pth'),
            '--work-dir',
            str(tmp_path),
            '--classwise',
            '--show-dir',
            str(shown),
            *more,
        ]
    )  # noqa: E501
    printed = capsys.readouterr().out
    assert re.search(r'\| +AP \| +AP50 \| +AP75 \| +APs \| +APm \| +APl \|\n.*\n\| bbox \|', printed)
    content = json.loads((tmp_path / 'results.json').read_text())
    assert content['images'] == 4
    assert content['detections'] > 0
    assert set(content['results']) == {'bbox', 'segm'}
    assert set(content['results']['bbox']['per_class']) == {'circle', 'square', 'triangle'}
    assert len(list(shown.glob('*.jpg'))) == 4
    assert (tmp_path / 'overview.jpg').is_file()


def test_test__of_an_untrained_detector_explains_the_empty_result(trained, shapes, tmp_path, capsys):
    more = options(shapes, 'model.test_cfg.rcnn.score_thr=0.999')
    evaluate([CONFIG, str(trained / 'epoch_1.pth'), '--work-dir', str(tmp_path), *more])
    printed = capsys.readouterr().out
    assert 'no detection in 4 images reached score_thr=0.999' in printed
    assert 'trained too briefly (iterations: 2)' in printed
    assert json.loads((tmp_path / 'results.json').read_text())['results'] == {}


def test_test__writes_predictions(trained, shapes, tmp_path):
    out = tmp_path / 'predictions.pkl'
    evaluate(
        [
            CONFIG,
            str(trained / 'epoch_1.pth'),
            '--work-dir',
            str(tmp_path),
            '--out',
            str(out),
            *options(shapes),
        ]
    )
    assert len(pickle.loads(out.read_bytes())) == 4


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nothing.py', 'x.pth'], 'nothing.py: config not found'),
        ([CONFIG, 'nothing.pth'], 'checkpoint nothing.pth: no such file'),
    ],
)
def test_test__exits_with_2_on_wrong_input(arguments, message, in_tmp, capsys):
    with pytest.raises(SystemExit) as exit_:
        evaluate(arguments)
    assert exit_.value.code == 2
    assert f'error: {message}' in capsys.readouterr().err


@pytest.mark.parametrize('fault', ['another config', 'backbone only', 'not finite', 'ending'])
def test_test__rejects_a_checkpoint_that_does_not_match(trained, shapes, tmp_path, capsys, fault):
    checkpoint = read_checkpoint(trained / 'epoch_1.pth')
    weights = checkpoint['state_dict']
    more, message = [], 'does not fit the config'
    if fault == 'another config':
        weights['roi_head.bbox_head.fc_cls.weight'] = torch.zeros(81, 512)
    elif fault == 'backbone only':
        weights = {k.removeprefix('backbone.'): v for k, v in weights.items() if k.startswith('backbone.')}
    elif fault == 'not finite':
        weights['backbone.conv1.weight'][0] = float('nan')
        message = "hold NaN or infinity, the file is damaged: ['backbone.conv1.weight']"
    else:
        more, message = ['--out', 'x.txt'], '--out is x.txt, but must be a .json file'
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict=weights), path)
    with pytest.raises(SystemExit) as exit_:
        evaluate([CONFIG, str(path), '--work-dir', str(tmp_path), *more, *options(shapes)])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_train__stops_at_a_non_finite_loss_with_exit_code_1(shapes, tmp_path, capsys):
    more = options(shapes, 'train_cfg.max_epochs=1', 'model.rpn_head.loss_cls.loss_weight=1e45')
    with pytest.raises(SystemExit) as exit_:
        train([CONFIG, '--work-dir', str(tmp_path), *more])
    assert exit_.value.code == 1
    error = capsys.readouterr().err
    assert 'training stopped at iteration 1 (epoch 1)' in error
    assert 'loss_rpn_cls inf' in error
    assert list(tmp_path.glob('*.pth')) == []


def test_train__with_missing_weights_fails_before_it_starts(shapes, in_tmp, capsys):
    with pytest.raises(SystemExit) as exit_:
        train(['eca_mmdet::mask_rcnn_ecanet50_fpn_1x.py', '--cfg-options', f'data_root={shapes}'])
    assert exit_.value.code == 2
    assert 'weights/eca_resnet50_k3557.pth of model.backbone: no such file' in capsys.readouterr().err
    assert list(in_tmp.iterdir()) == []


@pytest.mark.parametrize(('flags', 'rate'), [([], 0.001 / 2), (['--no-auto-scale-lr'], 0.001)])
def test_train__scales_the_learning_rate_unless_disabled(shapes, tmp_path, flags, rate):
    more = options(shapes, 'train_cfg.max_epochs=1', 'train_dataloader.batch_size=2')
    train([CONFIG, '--work-dir', str(tmp_path), *flags, *more])
    optimizer = read_checkpoint(tmp_path / 'epoch_1.pth')['optimizer']
    assert optimizer['param_groups'][0]['initial_lr'] == pytest.approx(rate)


@pytest.mark.parametrize(
    ('flags', 'more', 'message'),
    [
        ([], ['optim_wrapper.type=AmpOptimWrapper'], 'Add --amp to train in bfloat16 on the CPU'),
        (['--launcher', 'pytorch'], [], 'needs GPUs'),
    ],
)
def test_train__without_a_gpu_rejects_options_that_need_one(
    shapes, tmp_path, capsys, monkeypatch, flags, more, message
):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    with pytest.raises(SystemExit) as exit_:
        train([CONFIG, '--work-dir', str(tmp_path), *flags, *options(shapes, *more)])
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err


def test_train__with_amp_on_a_cpu_uses_bfloat16(shapes, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    train([CONFIG, '--work-dir', str(tmp_path), '--amp', *options(shapes, 'train_cfg.max_epochs=1')])
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert 'bfloat16 in backbone, neck, rpn_head, roi_head.bbox_head, roi_head.mask_head' in log
    weights = read_checkpoint(tmp_path / 'epoch_1.pth')['state_dict'].values()
    assert {value.dtype for value in weights} == {torch.float32, torch.int64}


def run_in_process(command):
    """Run a tool of the demo with a small detector; training in another process, as the demo does."""
    _, tool, *arguments = command
    arguments += SMALL if '--cfg-options' in arguments else []
    if tool.endswith('train.py'):
        return subprocess.run([sys.executable, tool, *arguments], capture_output=True, text=True)
    load_tool(Path(tool).stem).main(arguments)
    return SimpleNamespace(returncode=0)


def test_demo__runs_all_steps_on_tiny_data(in_tmp, monkeypatch, capsys):
    demo = load_tool('demo')
    monkeypatch.setattr(demo, 'subprocess', SimpleNamespace(run=run_in_process))
    demo.main(['--train', '8', '--val', '2', '--epochs', '1', '--min-ap', '0'])
    assert 'Done in' in capsys.readouterr().out
    work = in_tmp / 'work_dirs/demo'
    assert (work / 'overview.jpg').is_file()
    assert (work / 'results.json').is_file()


def test_demo__fails_below_the_minimum_ap(in_tmp, monkeypatch, capsys):
    demo = load_tool('demo')
    work = in_tmp / 'work_dirs/demo'

    def fake_run(title, tool, *arguments):
        work.mkdir(parents=True, exist_ok=True)
        (work / 'last_checkpoint').write_text('x.pth')
        (work / 'results.json').write_text(
            json.dumps(dict(results=dict(bbox=dict(AP=0.6), segm=dict(AP=0.5))))
        )
        return 1.0

    monkeypatch.setattr(demo, 'run', fake_run)
    with pytest.raises(SystemExit, match='both APs must be at least 0.55'):
        demo.main([])
