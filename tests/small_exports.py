"""Small models with random weights that detect something, and their files."""

import numpy as np
import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from eca_mmdet.apis import load_config
from eca_mmdet.hosts import host_of

CLASSES = ('circle', 'square', 'triangle')
_BACKBONE = {'model.backbone.base_channels': 8, 'model.backbone.init_cfg': None}
_FPN = {'model.neck.in_channels': [8, 16, 32, 64], 'model.neck.out_channels': 16}
_RESIZE = {'test_dataloader.dataset.pipeline.1.scale': (128, 96)}
_TWO_STAGE = {
    **_BACKBONE,
    **_FPN,
    **_RESIZE,
    'model.rpn_head.in_channels': 16,
    'model.rpn_head.feat_channels': 16,
    'model.roi_head.bbox_roi_extractor.out_channels': 16,
    'model.roi_head.bbox_head.in_channels': 16,
    'model.roi_head.bbox_head.fc_out_channels': 32,
    'model.roi_head.bbox_head.num_classes': 3,
    'model.test_cfg.rcnn.max_per_img': 20,
    'model.test_cfg.rpn.max_per_img': 50,
}
DETECTORS = {
    'retinanet_ecanet18_fpn_1x': {
        **_BACKBONE,
        **_FPN,
        **_RESIZE,
        'model.bbox_head.in_channels': 16,
        'model.bbox_head.feat_channels': 16,
        'model.bbox_head.stacked_convs': 1,
        'model.bbox_head.num_classes': 3,
        'model.test_cfg.max_per_img': 20,
    },
    'faster_rcnn_ecanet18_fpn_1x': _TWO_STAGE,
    'mask_rcnn_ecanet18_fpn_1x': {
        **_TWO_STAGE,
        'model.roi_head.mask_roi_extractor.out_channels': 16,
        'model.roi_head.mask_head.in_channels': 16,
        'model.roi_head.mask_head.conv_out_channels': 16,
        'model.roi_head.mask_head.num_convs': 1,
        'model.roi_head.mask_head.num_classes': 3,
    },
}


def build(name, options):
    """Return a config of this package with options, and its model with random weights."""
    cfg = load_config(f'eca_mmdet::{name}.py', options)
    init_default_scope(host_of(cfg).scope)
    torch.manual_seed(1)
    model = MODELS.build(cfg.model).eval()
    with torch.no_grad():
        for part, module in model.named_modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
            if part.endswith(('retina_cls', 'rpn_cls', 'fc_cls', 'conv_logits', 'conv_seg')):
                module.weight.normal_(0, 0.05 if part.endswith('retina_cls') else 0.5)  # scores that differ
    return cfg, model


def detector(name, **options):
    """Return the config and the model of one of ``DETECTORS``."""
    return build(name, {**DETECTORS[name], **options})


def images():
    """Return three arrays of different sizes, the second without anything to see."""
    generator = np.random.default_rng(0)
    sizes = (90, 120), (64, 64), (150, 70)
    noise = [generator.integers(0, 256, (h // 8 + 1, w // 8 + 1, 3), np.uint8) for h, w in sizes]
    pixels = [np.kron(n, np.ones((8, 8, 1), np.uint8))[:h, :w] for n, (h, w) in zip(noise, sizes)]
    return [pixels[0], np.zeros_like(pixels[1]), pixels[2]]


def require_runtime():
    """Skip a test where onnx or onnxruntime is not installed."""
    pytest.importorskip('onnx', reason='exported models need onnx')
    pytest.importorskip('onnxruntime', reason='exported models run with onnxruntime')
