"""Check the configs of the paper's comparison, one per detector, depth and attention."""

from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from eca_mmdet.apis import check_run, load_config
from eca_mmdet.apis.dict_action import parse_value
from eca_mmdet.layers import ATTENTIONS

ROOT = Path(__file__).resolve().parents[2] / 'configs/paper'
DETECTORS = dict(faster_rcnn='FasterRCNN', mask_rcnn='MaskRCNN', retinanet='RetinaNet')
LAYERS = dict(resnet=None, senet='se', ecanet='eca')
WEIGHTS = {
    ('resnet', 50): 'torchvision://resnet50',
    ('resnet', 101): 'torchvision://resnet101',
    ('senet', 50): 'weights/se_resnet50.pth',
    ('senet', 101): 'weights/se_resnet101.pth',
    ('ecanet', 50): 'weights/eca_resnet50_k3557.pth',
    ('ecanet', 101): 'weights/eca_resnet101_k3357.pth',
}
COMBINATIONS = [(detector, network, depth) for detector in DETECTORS for network, depth in WEIGHTS]


@lru_cache
def read(name):
    return load_config(f'eca_mmdet::paper/{name}.py')


def config(detector, network, depth):
    return deepcopy(read(f'{detector}_{network}{depth}'))


def test_folder__has_one_config_per_combination():
    assert sorted(path.stem for path in ROOT.glob('*.py')) == sorted(
        f'{d}_{n}{k}' for d, n, k in COMBINATIONS
    )


@pytest.mark.parametrize(('detector', 'network', 'depth'), COMBINATIONS)
def test_config__uses_its_network_weights_and_the_learning_rate_of_the_paper(detector, network, depth):
    cfg = config(detector, network, depth)
    assert cfg.model.type == DETECTORS[detector]
    assert (cfg.optim_wrapper.optimizer.lr, cfg.train_cfg.max_epochs) == (0.01, 12)
    assert cfg.auto_scale_lr == dict(enable=True, base_batch_size=8)
    assert cfg.train_dataloader.batch_size == 2
    assert cfg.model.backbone.init_cfg == dict(type='Pretrained', checkpoint=WEIGHTS[network, depth])
    with torch.device('meta'):
        backbone = MODELS.build({**cfg.model.backbone, 'init_cfg': None})
    attentions = {'eca', 'se'} & {name for name, _ in backbone.layer1[0].named_children()}
    assert (backbone.depth, attentions) == (depth, {LAYERS[network]} - {None})


def test_config__trains_one_step():
    from mmdet.testing import demo_mm_inputs

    cfg = config('faster_rcnn', 'senet', 50)
    init_default_scope('mmdet')
    cfg.model.backbone.init_cfg = None
    model = MODELS.build(cfg.model)
    data = model.data_preprocessor(demo_mm_inputs(1, [[3, 64, 64]], num_classes=80), training=True)
    loss, _ = model.parse_losses(model(**data, mode='loss'))
    loss.backward()
    for name, parameter in model.backbone.named_parameters():
        assert (parameter.grad is not None) == parameter.requires_grad, name


@pytest.mark.parametrize('attention', ATTENTIONS)
def test_attention_option__replaces_the_attention(attention):
    cfg = config('mask_rcnn', 'senet', 50)
    cfg.merge_from_dict({'model.backbone.attention': attention})  # as --cfg-options does
    backbone = cfg.model.backbone
    with torch.device('meta'):
        block = MODELS.build({**backbone, 'init_cfg': None}).layer1[0]
    expected = [] if attention == 'none' else ['se_gc' if attention.startswith('se_gc') else attention]
    assert block.plugin_names[-1] == expected


def test_missing_se_weights__raise_an_error_that_suggests_a_plain_resnet(in_tmp):
    cfg = config('faster_rcnn', 'senet', 101)
    cfg.work_dir = str(in_tmp)
    with pytest.raises(FileNotFoundError) as error:
        check_run(cfg, 'train')
    start = 'model.backbone.init_cfg.checkpoint=torchvision://resnet101 model.backbone.frozen_stages=0'
    assert start in str(error.value)
    assert 'ECANet' not in str(error.value)
    options = dict(option.split('=', 1) for option in start.split())
    cfg.merge_from_dict({key: parse_value(text) for key, text in options.items()})  # as --cfg-options does
    with pytest.raises(FileNotFoundError, match='data folder'):
        check_run(cfg, 'train')


def test_derived_config__can_refer_to_the_package_name(tmp_path):
    (tmp_path / 'mine.py').write_text("_base_ = 'eca_mmdet::paper/retinanet_senet50.py'")
    assert Config.fromfile(tmp_path / 'mine.py').model.backbone.attention.type == 'SELayer'
