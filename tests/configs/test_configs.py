"""Every config is built, its backbone run, and its rate compared with the linear rule."""

from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from eca_mmdet import ECAMobileNetV2, ECAResNet

ROOT = Path(__file__).resolve().parents[2] / 'configs'
CONFIGS = sorted(path.name for path in ROOT.glob('*.py'))
RELEASED = [name for name in CONFIGS if name.endswith('fpn_1x.py') and 'ecanet' in name]
MOBILENET = [name for name in CONFIGS if name.endswith('fpn_1x.py') and 'ecamobilenetv2' in name]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def without_weights(cfg):
    cfg.model.backbone.init_cfg = None
    return cfg


@pytest.mark.parametrize('name', CONFIGS)
def test_config__builds_and_its_backbone_feeds_its_neck(name):
    model = MODELS.build(without_weights(Config.fromfile(ROOT / name)).model)
    assert isinstance(model.backbone, ECAMobileNetV2 if name in MOBILENET else ECAResNet)
    with torch.no_grad():
        features = model.eval().extract_feat(torch.randn(1, 3, 64, 64))
    assert len(features) == 5


def test_the_six_released_detectors_have_a_config():
    assert (
        sorted(
            f'{detector}_ecanet{depth}_fpn_1x.py'
            for detector in ('faster_rcnn', 'mask_rcnn', 'retinanet')
            for depth in (50, 101)
        )
        == RELEASED
    )


@pytest.mark.parametrize('name', RELEASED + MOBILENET)
def test_1x_configs__follow_the_1x_schedule_at_the_linear_rate(name):
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
def test_released_configs__have_the_sizes_of_the_weights_they_start_from(name):
    backbone = Config.fromfile(ROOT / name).model.backbone
    sizes = {50: '3557', 101: '3357'}[backbone.depth]
    assert backbone.eca_kernel_sizes == sizes
    assert backbone.init_cfg.checkpoint == f'weights/eca_resnet{backbone.depth}_k{sizes}.pth'
    assert (backbone.frozen_stages, backbone.norm_eval) == (1, True)


def test_mobilenet_configs__are_of_two_detectors_and_start_from_the_released_weights():
    assert [name.split('_eca')[0] for name in MOBILENET] == ['faster_rcnn', 'retinanet']
    for name in MOBILENET:
        model = Config.fromfile(ROOT / name).model
        assert model.backbone.init_cfg.checkpoint == 'weights/eca_mobilenetv2_k13.pth'
        assert (model.backbone.frozen_stages, model.backbone.norm_eval) == (1, True)
        backbone = MODELS.build({**model.backbone, 'init_cfg': None})
        assert backbone.eca_kernel_sizes == (1, 1, 1, 1, 3, 3, 3)
        assert list(backbone.out_channels) == model.neck.in_channels


@pytest.mark.parametrize('name', RELEASED + MOBILENET)
def test_1x_configs__train_one_step_and_predict(name):
    """Tiny images, random weights: losses are finite and predictions come out."""
    from mmdet.testing import demo_mm_inputs

    cfg = without_weights(Config.fromfile(ROOT / name))
    model = MODELS.build(cfg.model)
    with_mask = name.startswith('mask')
    inputs = demo_mm_inputs(2, [[3, 64, 96], [3, 80, 64]], num_classes=80, with_mask=with_mask)
    data = model.data_preprocessor(inputs, training=True)
    loss, terms = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    assert all(value.isfinite() for value in terms.values())
    assert ('loss_mask' in terms) == with_mask
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    assert model.backbone.layer3[0].eca.conv.weight.grad.isfinite().all()
    with torch.no_grad():
        data = model.eval().data_preprocessor(inputs, training=False)
        results = model(**data, mode='predict')
    assert len(results) == 2
    assert ('masks' in results[0].pred_instances) == with_mask


@pytest.mark.parametrize('name', RELEASED + MOBILENET)
def test_model_index__describes_every_1x_config(name):
    import yaml

    models = {m['Name']: m for m in yaml.safe_load((ROOT / 'metafile.yml').read_text())['Models']}
    model = models[name.removesuffix('.py')]
    assert model['Config'] == f'configs/{name}'
    tasks = {result['Task'] for result in model['Results']}
    assert ('Instance Segmentation' in tasks) == name.startswith('mask')


def test_readme__shows_the_figures_of_the_model_index():
    import yaml

    readme = (ROOT.parent / 'README.md').read_text()
    for model in yaml.safe_load((ROOT / 'metafile.yml').read_text())['Models']:
        figures = [result['Metrics'] for result in model['Results']]
        if not figures:
            continue
        box, mask = figures[0]['box AP'], figures[1]['mask AP'] if len(figures) > 1 else '-'
        assert f'| [{model["Name"]}]({model["Config"]}) | {box} | {mask} |' in readme
