"""Check the configs of mmdet 1.x detectors: kernel sizes, losses, one training step and one prediction."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmdet1_reference import SIZES
from mmengine.config import Config
from mmengine.registry import init_default_scope

from eca_mmdet.checkpoints.detector_configs import CONFIG_NAMES, config_name

ROOT = Path(__file__).resolve().parents[2] / 'configs'


def test_legacy_configs__are_complete():
    assert {f'legacy/{path.name}' for path in ROOT.glob('legacy/*.py')} <= set(CONFIG_NAMES)
    assert all((ROOT / name).is_file() for name in CONFIG_NAMES)


@pytest.mark.parametrize(('kind', 'depth'), sorted(SIZES))
def test_config__uses_the_released_kernel_sizes_and_the_1x_losses(kind, depth):
    cfg = Config.fromfile(ROOT / config_name(kind, depth, legacy=True))
    backbone = cfg.model.backbone
    assert (backbone.type, backbone.depth, backbone.init_cfg) == ('ECAResNet', depth, None)
    assert backbone.eca_kernel_sizes == ''.join(map(str, SIZES[kind, depth]))
    heads = (
        [cfg.model.bbox_head] if kind == 'RetinaNet' else [cfg.model.rpn_head, cfg.model.roi_head.bbox_head]
    )
    assert {head.loss_bbox.type for head in heads} == {'SmoothL1Loss'}
    assert cfg.optim_wrapper.optimizer.lr == (0.00125 if kind == 'RetinaNet' else 0.0025)
    assert {hook.type for hook in cfg.custom_hooks} >= {'SafeResumeHook', 'LearningRateHook'}
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=2)


@pytest.mark.parametrize('kind', ['Mask R-CNN', 'RetinaNet'])  # Mask R-CNN includes all parts of Faster R-CNN
def test_config__trains_one_step_and_predicts(kind, tmp_path):
    from mmdet.testing import demo_mm_inputs

    config = tmp_path / 'mine.py'  # a user's config refers to it by the package name
    config.write_text(f"_base_ = 'eca_mmdet::{config_name(kind, 50, legacy=True)}'")
    init_default_scope('mmdet')
    cfg, masks = Config.fromfile(config), kind == 'Mask R-CNN'
    if masks:  # fewer RoIs: their heads take most of the time
        cfg.model.train_cfg.rcnn.sampler.num = 32
        cfg.model.test_cfg.rpn.max_per_img, cfg.model.test_cfg.rcnn.max_per_img = 50, 10
    model = MODELS.build(cfg.model)
    inputs = demo_mm_inputs(2, [[3, 64, 96], [3, 80, 64]], num_classes=80, with_mask=masks)
    loss, terms = model.parse_losses(model(**model.data_preprocessor(inputs, training=True), mode='loss'))
    loss.backward()
    assert all(value.isfinite() for value in terms.values())
    assert model.backbone.layer3[0].eca.conv.weight.grad.isfinite().all()
    with torch.no_grad():
        data = model.eval().data_preprocessor(inputs, training=False)
        results = model(**data, mode='predict')
    assert ('masks' in results[0].pred_instances) == masks
