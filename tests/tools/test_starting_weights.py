"""Run tools/train.py and tools/test.py with every kind of checkpoint on tiny datasets."""

import pickle

import pytest
import torch
from conftest import load_tool
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from small_detector import CONFIG, MODEL, SMALL

from eca_mmdet.apis import load_config

train = load_tool('train').main
evaluate = load_tool('test').main
SHORT = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=9')


def options(data, *more):
    return ['--cfg-options', f'data_root={data}', *SMALL, *SHORT, *more]


@pytest.fixture(scope='module')
def weights():
    """Return the weights of a detector whose results depend on them."""
    init_default_scope('mmdet')
    torch.manual_seed(3)
    detector = MODELS.build(load_config(CONFIG, MODEL).model)
    detector.init_weights()
    torch.nn.init.normal_(detector.roi_head.bbox_head.fc_cls.weight)
    return detector.state_dict()


def detections(checkpoint, data, folder, *more):
    """Return the scores of a checkpoint's detections on the test set."""
    torch.save(checkpoint, folder / 'x.pth')
    out = folder / 'predictions.pkl'
    arguments = [CONFIG, str(folder / 'x.pth'), '--work-dir', str(folder), '--out', str(out)]
    evaluate([*arguments, *options(data, 'model.test_cfg.rcnn.score_thr=0.0', *more)])
    predictions = pickle.loads(out.read_bytes())
    return [image['pred_instances']['scores'] for image in predictions]


@pytest.fixture(scope='module')
def expected(weights, shapes, tmp_path_factory):
    return detections(dict(state_dict=weights), shapes, tmp_path_factory.mktemp('expected'))


@pytest.mark.parametrize('form', ['model', 'ema', 'prefix', 'no hooks'])
def test_test__evaluates_the_weights_of_every_kind_of_checkpoint(weights, shapes, tmp_path, expected, form):
    checkpoint, more = dict(model=weights), []
    if form == 'ema':
        checkpoint = dict(ema=dict(module=weights, updates=3))
    elif form == 'prefix':
        checkpoint = {f'_orig_mod.model.{name}': value for name, value in weights.items()}
    elif form == 'no hooks':
        more = ['custom_hooks=None']
    found = detections(checkpoint, shapes, tmp_path, *more)
    # Without hooks, images and weights are in another memory format.
    tolerance = dict(rtol=1e-4, atol=1e-5) if form == 'no hooks' else dict(rtol=0, atol=0)
    torch.testing.assert_close(found, expected, **tolerance)
    assert sum(len(scores) for scores in found) > 0
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert f'{len(weights)} of {len(weights)} tensors of {tmp_path}/x.pth took effect.' in log


def test_test__with_two_containers_exits_with_2(weights, shapes, tmp_path, capsys):
    with pytest.raises(SystemExit) as exit_:
        detections(dict(model=weights, model_ema=weights), shapes, tmp_path)
    assert exit_.value.code == 2
    assert "holds weights under 'model', 'model_ema'" in capsys.readouterr().err


def test_train__from_a_backbone_checkpoint_exits_with_2_before_it_starts(weights, shapes, tmp_path, capsys):
    backbone = {k.removeprefix('backbone.'): v for k, v in weights.items() if k.startswith('backbone.')}
    torch.save(dict(state_dict=backbone), tmp_path / 'x.pth')
    with pytest.raises(SystemExit) as exit_:
        train([CONFIG, '--work-dir', str(tmp_path / 'w'), *options(shapes, f'load_from={tmp_path}/x.pth')])
    assert exit_.value.code == 2
    assert 'it is a backbone alone' in capsys.readouterr().err
    assert not (tmp_path / 'w').exists()


def test_train__from_a_detector_of_other_classes_logs_which_layers_keep_initial_values(
    weights, shapes, tmp_path, capsys
):
    other = {**weights, 'roi_head.bbox_head.fc_cls.weight': torch.zeros(81, 5)}
    torch.save(dict(net=other), tmp_path / 'x.pth')
    train([CONFIG, '--work-dir', str(tmp_path / 'w'), *options(shapes, f'load_from={tmp_path}/x.pth')])
    assert 'start from their initial values: roi_head.bbox_head.fc_cls.weight (shape mismatches' in ''.join(
        capsys.readouterr()
    )
    log = ''.join(path.read_text() for path in tmp_path.glob('w/*/*.log'))
    assert f'{len(weights) - 1} of {len(weights)} tensors of' in log


def test_resume__logs_how_many_tensors_took_effect(weights, shapes, tmp_path):
    train([CONFIG, '--work-dir', str(tmp_path), *options(shapes)])
    train([CONFIG, '--work-dir', str(tmp_path), '--resume', *options(shapes, 'train_cfg.max_epochs=2')])
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert f'{len(weights)} of {len(weights)} tensors of {tmp_path / "epoch_1.pth"}' in log
