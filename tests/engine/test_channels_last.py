"""A whole detector in channels_last against the same detector with contiguous features."""

import copy

import pytest
import torch
from conftest import ROOT, load_tool
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from eca_mmdet.apis import load_config
from eca_mmdet.engine import use_channels_last
from eca_mmdet.engine.hooks.channels_last import unknown_parts
from eca_mmdet.layers.fast_conv import FastConv2d

SMALL = {
    'backbone.init_cfg': None,
    'backbone.base_channels': 16,
    'neck.in_channels': [64, 128, 256, 512],
}
FAST = ['retinanet_ecanet50', 'faster_rcnn_ecanet50', 'mask_rcnn_ecanet50', 'timm/mask_rcnn_ecaresnet50d']


def build(name, **options):
    """A detector of this package's configs, smaller and in float64."""
    init_default_scope('mmdet')
    options = {f'model.{key}': value for key, value in {**SMALL, **options}.items()}
    model = load_config(f'eca_mmdet::{name}_fpn_1x.py', options).model
    return MODELS.build(model).double()


@pytest.mark.parametrize('name', FAST)
def test_detectors_of_the_configs__compute_in_channels_last(name):
    detector = build(name)
    assert use_channels_last(detector)
    features = detector.extract_feat(torch.randn(1, 3, 64, 96, dtype=torch.float64))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in features)


def losses_and_gradients(detector):
    inputs = demo_mm_inputs(2, [[3, 96, 128], [3, 128, 96]], num_classes=80, with_mask=True)
    data = detector.train().data_preprocessor(inputs, training=True)
    data['inputs'] = data['inputs'].to(next(detector.parameters()).dtype)
    torch.manual_seed(0)  # of the samplers
    loss, terms = detector.parse_losses(detector(**data, mode='loss'))
    names, weights = zip(*((n, p) for n, p in detector.named_parameters() if p.requires_grad))
    return terms, dict(zip(names, torch.autograd.grad(loss, weights)))


@pytest.mark.parametrize(
    ('name', 'dtype', 'tolerance', 'gradient_error'),
    [
        ('retinanet_ecanet50', torch.float64, 1e-9, 1e-9),
        # mmcv's NMS has float32 only, in which a ReLU's input next to zero changes single gradients.
        ('mask_rcnn_ecanet50', torch.float32, 1e-5, 1e-2),
    ],
)
def test_losses_and_gradients__are_those_of_contiguous_features(
    monkeypatch, name, dtype, tolerance, gradient_error
):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2')  # with Winograd's algorithm
    theirs = build(name).to(dtype)
    ours = copy.deepcopy(theirs)
    assert use_channels_last(ours)
    assert any(type(module) is FastConv2d for module in ours.neck.modules())
    (terms, grads), (expected, expected_grads) = losses_and_gradients(ours), losses_and_gradients(theirs)
    torch.testing.assert_close(dict(terms), dict(expected), rtol=tolerance, atol=tolerance)
    for key, grad in expected_grads.items():
        assert (grads[key] - grad).norm() <= gradient_error * grad.norm() + 1e-7, key


class OtherNeck(nn.Identity):
    """A neck that this package does not know."""


ROI_POOL = dict(_delete_=True, type='RoIPool', output_size=7)
OTHER_EXTRACTOR = {'roi_head.mask_roi_extractor.type': 'SingleRoIExtractor'}


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('mask_rcnn_ecanet50', OTHER_EXTRACTOR),
        ('mask_rcnn_ecanet50', {'roi_head.bbox_roi_extractor.roi_layer': ROI_POOL}),
        ('retinanet_ecanet50', {'neck.conv_cfg': dict(type='DCNv2', deform_groups=1)}),
        ('retinanet_ecanet50', {'bbox_head.type': 'RetinaSepBNHead', 'bbox_head.num_ins': 5}),
    ],
)
def test_parts_that_may_read_wrongly__get_contiguous_features(name, options):
    detector = build(name, **options)
    assert unknown_parts(detector)
    assert not use_channels_last(detector)
    features = detector.backbone(torch.randn(1, 3, 64, 96, dtype=torch.float64))
    assert all(x.is_contiguous() for x in features)


def test_replaced_part__is_noticed():
    detector = build('retinanet_ecanet50')
    detector.neck = OtherNeck()
    assert unknown_parts(detector) == ['neck']


def test_setting_of_the_config__is_kept():
    detector = build('retinanet_ecanet50', **{'backbone.channels_last': False})
    assert not use_channels_last(detector)
    assert detector.backbone.channels_last is False


def test_training__says_that_it_runs_in_channels_last(shapes, tmp_path, capsys):
    cfg = Config.fromfile(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')
    options = [f'data_root={shapes}/', 'train_cfg.max_epochs=1', 'train_dataloader.num_workers=0']
    options += ['train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0']
    options += ['val_dataloader.persistent_workers=False']
    assert dict(type='ChannelsLastHook') in cfg.custom_hooks
    load_tool('train').main([cfg.filename, '--work-dir', str(tmp_path), '--cfg-options', *options])
    assert 'The whole detector computes in channels_last' in capsys.readouterr().out
