"""A detector in channels_last equals the same detector with contiguous features."""

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
from eca_mmdet.engine.hooks.channels_last import find_unknown_parts
from eca_mmdet.layers.fast_conv import FastConv2d

SMALL_BACKBONE = {
    'backbone.init_cfg': None,
    'backbone.base_channels': 16,
    'neck.in_channels': [64, 128, 256, 512],
}
NAMES = [
    'retinanet_ecanet50',
    'faster_rcnn_ecanet50',
    'mask_rcnn_ecanet50',
    'timm/mask_rcnn_ecaresnet50d',
]


def build(name, **options):
    """Build a smaller detector from a config of this package, in float64."""
    init_default_scope('mmdet')
    options = {f'model.{key}': value for key, value in {**SMALL_BACKBONE, **options}.items()}
    model = load_config(f'eca_mmdet::{name}_fpn_1x.py', options).model
    return MODELS.build(model).double()


@pytest.mark.parametrize('name', NAMES)
def test_supported_detector__computes_in_channels_last(name):
    detector = build(name)
    assert use_channels_last(detector)
    features = detector.extract_feat(torch.randn(1, 3, 64, 96, dtype=torch.float64))
    assert all(x.is_contiguous(memory_format=torch.channels_last) for x in features)


def compute_losses_and_gradients(detector):
    inputs = demo_mm_inputs(2, [[3, 96, 128], [3, 128, 96]], num_classes=80, with_mask=True)
    data = detector.train().data_preprocessor(inputs, training=True)
    data['inputs'] = data['inputs'].to(next(detector.parameters()).dtype)
    torch.manual_seed(0)  # for the samplers
    loss, terms = detector.parse_losses(detector(**data, mode='loss'))
    weights = {name: p for name, p in detector.named_parameters() if p.requires_grad}
    return terms, dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))


@pytest.mark.parametrize(
    ('name', 'dtype', 'tolerance', 'gradient_error'),
    [
        ('retinanet_ecanet50', torch.float64, 1e-9, 1e-9),
        # mmcv's NMS needs float32, where rounding of a ReLU's input near zero changes single gradients.
        ('mask_rcnn_ecanet50', torch.float32, 1e-5, 1e-2),
    ],
)
def test_losses_and_gradients__equal_those_of_contiguous_features(
    monkeypatch, name, dtype, tolerance, gradient_error
):
    # Without AVX-512, detectors use Winograd's algorithm.
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2')
    theirs = build(name).to(dtype)
    ours = copy.deepcopy(theirs)
    assert use_channels_last(ours)
    assert any(type(module) is FastConv2d for module in ours.neck.modules())
    terms, grads = compute_losses_and_gradients(ours)
    expected, expected_grads = compute_losses_and_gradients(theirs)
    torch.testing.assert_close(dict(terms), dict(expected), rtol=tolerance, atol=tolerance)
    for key, grad in expected_grads.items():
        assert (grads[key] - grad).norm() <= gradient_error * grad.norm() + 1e-7, key


class UnknownNeck(nn.Identity):
    """A neck that this package does not support."""


ROI_POOL = dict(_delete_=True, type='RoIPool', output_size=7)
MMDET_EXTRACTOR = {'roi_head.mask_roi_extractor.type': 'SingleRoIExtractor'}


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('mask_rcnn_ecanet50', MMDET_EXTRACTOR),
        ('mask_rcnn_ecanet50', {'roi_head.bbox_roi_extractor.roi_layer': ROI_POOL}),
        ('retinanet_ecanet50', {'neck.conv_cfg': dict(type='DCNv2', deform_groups=1)}),
        ('retinanet_ecanet50', {'bbox_head.type': 'RetinaSepBNHead', 'bbox_head.num_ins': 5}),
    ],
)
def test_detector_with_an_unknown_part__gets_contiguous_features(name, options):
    detector = build(name, **options)
    assert find_unknown_parts(detector)
    assert not use_channels_last(detector)
    features = detector.backbone(torch.randn(1, 3, 64, 96, dtype=torch.float64))
    assert all(x.is_contiguous() for x in features)


def test_replaced_part__is_unknown():
    detector = build('retinanet_ecanet50')
    detector.neck = UnknownNeck()
    assert find_unknown_parts(detector) == ['neck']


def test_option_of_the_config__is_not_changed():
    detector = build('retinanet_ecanet50', **{'backbone.channels_last': False})
    assert not use_channels_last(detector)
    assert detector.backbone.channels_last is False


def test_training__logs_that_it_computes_in_channels_last(shapes, tmp_path, capsys):
    cfg = Config.fromfile(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')
    options = [f'data_root={shapes}/', 'train_cfg.max_epochs=1', 'train_dataloader.num_workers=0']
    options += ['train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0']
    options += ['val_dataloader.persistent_workers=False']
    assert dict(type='ChannelsLastHook') in cfg.custom_hooks
    load_tool('train').main([cfg.filename, '--work-dir', str(tmp_path), '--cfg-options', *options])
    assert 'The whole detector computes in channels_last' in capsys.readouterr().out
