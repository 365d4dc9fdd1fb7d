"""Build every config, run one training step and one prediction, and check learning rates and weights."""

import re
from functools import lru_cache
from pathlib import Path

import mmdet
import pytest
import torch
import yaml
from conftest import load_tool
from mmdet.registry import MODELS
from mmengine.config import Config

from eca_mmdet.backbones import FAMILIES
from eca_mmdet.layers.roi_align import RoIAlign
from eca_mmdet.meta_device import build_on_meta
from eca_mmdet.mmdet1_boxes import _RoIAlign1x

ROOT = Path(__file__).resolve().parents[2] / 'configs'
OTHERS = {'_base_', 'classification', 'segmentation'}
CONFIGS = sorted(p.relative_to(ROOT).as_posix() for p in ROOT.rglob('*.py') if not OTHERS & {*p.parts})
DEPTHS = (18, 34, 50, 101, 152)
DETECTORS = ('faster_rcnn', 'mask_rcnn', 'retinanet')
RELEASED = [f'{detector}_ecanet{depth}_fpn_1x.py' for detector in DETECTORS for depth in DEPTHS]
MOBILENET = ['faster_rcnn_ecamobilenetv2_fpn_1x.py', 'retinanet_ecamobilenetv2_fpn_1x.py']
TIMM = [
    f'timm/{detector}_{name}_fpn_1x.py'
    for detector in DETECTORS
    for name in (
        *(f'ecaresnet{kind}' for kind in ('50d', '50t', '101d', 'light', '50d_pruned', '101d_pruned')),
        *('eca_resnet33ts', 'eca_resnext26ts'),
    )
]
PANOPTIC = ['panoptic_fpn_ecanet50_fpn_1x.py']
SIZES = {18: '3577', 34: '3357', 50: '3557', 101: '3357', 152: '3357'}


def without_weights(cfg):
    cfg.model.backbone.init_cfg = None
    return cfg


@lru_cache
def read_metafile():
    return {m['Name']: m for m in yaml.safe_load((ROOT / 'metafile.yml').read_text())['Models']}


def test_configs__cover_every_detector_and_backbone():
    assert set(RELEASED + MOBILENET + PANOPTIC + TIMM) <= set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_config__fits_its_backbone_and_evaluates_with_our_metric(name):
    cfg = Config.fromfile(ROOT / name)
    metric = 'PanopticMetric' if name in PANOPTIC else 'FastCocoMetric'
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == metric
    model = build_on_meta(without_weights(cfg).model, 'mmdet')
    assert isinstance(model.backbone, tuple(family.backbone for family in FAMILIES))
    assert list(model.backbone.out_channels) == cfg.model.neck.in_channels


@pytest.mark.parametrize('name', [name for name in CONFIGS if not re.search(r'net(34|101|152)', name)])
def test_config__trains_one_step_and_predicts(name):
    """Losses must be finite, and all trainable parameters must get gradients.

    The networks of 34, 101 and 152 layers have the same blocks as those of 18 and 50, only more of them.
    """
    from mmdet.testing import demo_mm_inputs

    cfg = without_weights(Config.fromfile(ROOT / name))
    is_panoptic = name in PANOPTIC
    if 'roi_head' in cfg.model:  # fewer RoIs: their heads take most of the time
        cfg.model.train_cfg.rcnn.sampler.num = 32
        cfg.model.test_cfg.rpn.max_per_img, cfg.model.test_cfg.rcnn.max_per_img = 50, 10
    model = MODELS.build(cfg.model)
    heads = cfg.model.get('roi_head', cfg.model)
    classes, with_mask = heads.bbox_head.num_classes, 'mask_head' in heads
    inputs = demo_mm_inputs(
        2,
        [[3, 64, 96], [3, 80, 64]],
        num_classes=max(classes, 2),
        with_mask=with_mask,
        with_semantic=is_panoptic,
    )
    for sample in inputs['data_samples']:
        sample.gt_instances.labels %= classes
    data = model.data_preprocessor(inputs, training=True)
    loss, terms = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert all(value.isfinite() for value in terms.values())
    assert ('loss_mask' in terms) == with_mask
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    with torch.no_grad():
        data = model.eval().data_preprocessor(inputs, training=False)
        results = model(**data, mode='predict')
    assert len(results) == 2
    if is_panoptic:
        assert results[0].pred_panoptic_seg.sem_seg.shape == (1, 64, 96)
    else:
        assert ('masks' in results[0].pred_instances) == with_mask


@pytest.mark.parametrize('name', RELEASED + MOBILENET + PANOPTIC)
def test_1x_configs__use_the_1x_schedule_and_the_linear_scaling_rule(name):
    cfg = Config.fromfile(ROOT / name)
    rate = 0.02 * 2 / 16 / (2 if name.startswith('retinanet') else 1)
    assert cfg.optim_wrapper.optimizer.lr == rate == (0.00125 if name.startswith('retinanet') else 0.0025)
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=cfg.train_dataloader.batch_size)
    assert cfg.train_cfg.max_epochs == 12
    warm_up, steps = cfg.param_scheduler
    assert (warm_up.type, warm_up.by_epoch) == ('LinearLR', False)
    assert steps.milestones == [8, 11]
    assert cfg.data_root == 'data/coco/'


@pytest.mark.parametrize('name', RELEASED + PANOPTIC)
def test_released_configs__use_the_kernel_sizes_of_their_weights(name):
    backbone = Config.fromfile(ROOT / name).model.backbone
    sizes = SIZES[backbone.depth]
    assert backbone.eca_kernel_sizes == sizes
    assert backbone.init_cfg.checkpoint == f'weights/eca_resnet{backbone.depth}_k{sizes}.pth'
    assert (backbone.frozen_stages, backbone.norm_eval) == (1, True)


def test_mobilenet_configs__start_from_the_released_weights():
    assert [name.split('_eca')[0] for name in MOBILENET] == ['faster_rcnn', 'retinanet']
    for name in MOBILENET:
        model = Config.fromfile(ROOT / name).model
        assert model.backbone.init_cfg.checkpoint == 'weights/eca_mobilenetv2_k13.pth'
        assert (model.backbone.frozen_stages, model.backbone.norm_eval) == (1, True)
        backbone = MODELS.build({**model.backbone, 'init_cfg': None})
        assert backbone.eca_kernel_sizes == (1, 1, 1, 1, 3, 3, 3)
        assert list(backbone.out_channels) == model.neck.in_channels


def test_panoptic_config__is_mmdets_with_eca_and_the_fast_roi_align():
    model = Config.fromfile(ROOT / PANOPTIC[0]).model
    base = Path(mmdet.__file__).parent / '.mim/configs/panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py'
    expected = Config.fromfile(base).model
    model.backbone.update(type='ResNet', init_cfg=expected.backbone.init_cfg)
    del model.backbone.eca_kernel_sizes
    for key in ('bbox_roi_extractor', 'mask_roi_extractor'):
        model.roi_head[key].type = 'SingleRoIExtractor'
    model, expected = (build_on_meta(cfg, 'mmdet') for cfg in (model, expected))
    assert repr(model) == repr(expected)
    assert model.semantic_head.loss_seg.__dict__ == expected.semantic_head.loss_seg.__dict__
    assert model.test_cfg == expected.test_cfg
    assert model.train_cfg == expected.train_cfg
    assert model.data_preprocessor.seg_pad_value == expected.data_preprocessor.seg_pad_value == 255


@pytest.mark.parametrize('name', TIMM)
def test_timm_configs__use_the_schedule_of_mmdets_strikes_back_configs(name):
    cfg = Config.fromfile(ROOT / name)
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=0.0001 if 'retinanet' in name else 0.0002, weight_decay=0.05
    )
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)
    network = re.search(r'eca_?resne\w+(?=_fpn)', name)[0]
    assert cfg.model.backbone.init_cfg.checkpoint == f'weights/{network}.pth'


@pytest.mark.parametrize('name', RELEASED + MOBILENET + PANOPTIC + TIMM)
def test_model_index__describes_every_1x_config(name):
    assert read_metafile()[Path(name).stem]['Config'] == f'configs/{name}'


@pytest.mark.parametrize(
    'page', ['README.md', 'docs/checkpoints.md', 'docs/classification.md', 'docs/performance.md']
)
def test_generated_tables__are_up_to_date(page):
    text = (ROOT.parent / page).read_text()
    assert load_tool('readme_tables').render(text, page) == text


def test_checkpoint_list__refers_to_existing_configs():
    for group in yaml.safe_load((ROOT / 'checkpoints.yml').read_text()):
        for target, config in group['files'].values():
            for detector in DETECTORS if config else ():
                path = ROOT / config.format(detector=detector)
                assert path.is_file()
                checkpoint = Config.fromfile(path).model.backbone.init_cfg
                if group['source'].endswith('ImageNet'):
                    assert checkpoint.checkpoint == target


@pytest.mark.parametrize('name', [name for name in CONFIGS if 'retinanet' not in name])
def test_two_stage_configs__use_the_fast_roi_align(name):
    head = Config.fromfile(ROOT / name).model.roi_head
    extractors = [head[key] for key in ('bbox_roi_extractor', 'mask_roi_extractor') if key in head]
    assert len(extractors) == 1 + ('mask_rcnn' in name or name in PANOPTIC)
    for extractor in extractors:
        assert {type(layer) for layer in MODELS.build(extractor).roi_layers} <= {RoIAlign, _RoIAlign1x}
