"""Build every config, run one training step and one prediction, and check learning rates and weights."""

import re
from pathlib import Path

import pytest
import torch
from conftest import load_tool
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from eca_mmdet.backbones import FAMILIES
from eca_mmdet.layers.roi_align import RoIAlign
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
SIZES = {18: '3577', 34: '3357', 50: '3557', 101: '3357', 152: '3357'}


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def without_weights(cfg):
    cfg.model.backbone.init_cfg = None
    return cfg


def test_configs__cover_every_detector_and_backbone():
    assert set(RELEASED + MOBILENET + TIMM) <= set(CONFIGS)


@pytest.mark.parametrize('name', CONFIGS)
def test_config__trains_one_step_and_predicts(name):
    """Losses must be finite, and all trainable parameters must get gradients."""
    from mmdet.testing import demo_mm_inputs

    cfg = without_weights(Config.fromfile(ROOT / name))
    assert cfg.val_evaluator.type == cfg.test_evaluator.type == 'FastCocoMetric'
    if 'roi_head' in cfg.model:  # fewer RoIs: their heads take most of the time
        cfg.model.train_cfg.rcnn.sampler.num = 32
        cfg.model.test_cfg.rpn.max_per_img, cfg.model.test_cfg.rcnn.max_per_img = 50, 10
    model = MODELS.build(cfg.model)
    assert isinstance(model.backbone, tuple(family.backbone for family in FAMILIES))
    assert list(model.backbone.out_channels) == cfg.model.neck.in_channels
    heads = cfg.model.get('roi_head', cfg.model)
    classes, with_mask = heads.bbox_head.num_classes, 'mask_head' in heads
    inputs = demo_mm_inputs(2, [[3, 64, 96], [3, 80, 64]], num_classes=max(classes, 2), with_mask=with_mask)
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
    assert ('masks' in results[0].pred_instances) == with_mask


@pytest.mark.parametrize('name', RELEASED + MOBILENET)
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


@pytest.mark.parametrize('name', RELEASED)
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


@pytest.mark.parametrize('name', TIMM)
def test_timm_configs__use_the_schedule_of_mmdets_strikes_back_configs(name):
    cfg = Config.fromfile(ROOT / name)
    assert cfg.optim_wrapper.optimizer == dict(
        type='AdamW', lr=0.0001 if 'retinanet' in name else 0.0002, weight_decay=0.05
    )
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=16)
    network = re.search(r'eca_?resne\w+(?=_fpn)', name)[0]
    assert cfg.model.backbone.init_cfg.checkpoint == f'weights/{network}.pth'


@pytest.mark.parametrize('name', RELEASED + MOBILENET + TIMM)
def test_model_index__describes_every_1x_config(name):
    import yaml

    models = {m['Name']: m for m in yaml.safe_load((ROOT / 'metafile.yml').read_text())['Models']}
    model = models[Path(name).stem]
    assert model['Config'] == f'configs/{name}'


@pytest.mark.parametrize('page', ['README.md', 'docs/checkpoints.md', 'docs/performance.md'])
def test_generated_tables__are_up_to_date(page):
    text = (ROOT.parent / page).read_text()
    assert load_tool('readme_tables').render(text, page) == text


def test_checkpoint_list__refers_to_existing_configs():
    import yaml

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
    assert len(extractors) == 1 + ('mask_rcnn' in name)
    for extractor in extractors:
        assert {type(layer) for layer in MODELS.build(extractor).roi_layers} <= {RoIAlign, _RoIAlign1x}
