"""The recipes of the classification configs."""

from copy import deepcopy

import pytest
import torch
from conftest import ROOT
from mmengine.config import Config

from eca_mmdet.layers import ATTENTIONS

pytestmark = pytest.mark.usefixtures('mmpretrain')
FOLDER = ROOT / 'configs/classification'
SIZES = {18: '3577', 34: '3357', 50: '3557', 101: '3357', 152: '3357'}
# Published in units of 2**20 (README of ECANet): the networks of the released weights.
PARAMETERS = {
    'ecanet18': 11.15, 'ecanet34': 20.79, 'ecanet50': 24.37, 'ecanet101': 42.49, 'ecanet152': 57.40,
    'ecamobilenetv2': 3.34,
}  # fmt: skip


def load(name):
    return Config.fromfile(FOLDER / f'{name}.py')


def build(cfg):
    from eca_mmdet.meta_device import build_on_meta

    return build_on_meta(cfg.model, 'mmpretrain')


@pytest.mark.parametrize('depth', SIZES)
def test_imagenet_configs__differ_in_the_attention_only(depth):
    configs = {name: load(f'{name}{depth}_imagenet').to_dict() for name in ('resnet', 'senet', 'ecanet')}
    backbones = {name: cfg['model'].pop('backbone') for name, cfg in configs.items()}
    assert configs['resnet'] == configs['senet'] == configs['ecanet']
    assert backbones['resnet'].pop('attention') == 'none'
    assert backbones['senet'].pop('attention') == 'se'
    assert backbones['ecanet'].pop('eca_kernel_sizes') == SIZES[depth]
    assert backbones['resnet'] == backbones['senet'] == backbones['ecanet']
    assert backbones['resnet']['depth'] == depth


def test_imagenet_configs__use_the_recipe_of_the_paper():
    cfg = load('ecanet50_imagenet')
    assert cfg.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4, _scope_='mmpretrain'
    )
    assert (cfg.train_cfg.max_epochs, cfg.param_scheduler.milestones) == (100, [30, 60, 90])
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 256
    assert cfg.auto_scale_lr.enable
    assert cfg.val_evaluator.topk == (1, 5)


@pytest.mark.parametrize('name', ['mobilenetv2', 'semobilenetv2', 'ecamobilenetv2'])
def test_mobilenet_configs__use_the_recipe_of_the_paper(name):
    cfg = load(f'{name}_imagenet')
    assert cfg.optim_wrapper.optimizer.lr == 0.045
    assert cfg.optim_wrapper.optimizer.weight_decay == 4e-5
    assert (cfg.param_scheduler.gamma, cfg.param_scheduler.step_size) == (0.98, 1)
    assert cfg.train_cfg.max_epochs == 400
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 96
    assert build(cfg).head.dropout.p == 0.25


@pytest.mark.parametrize('name', PARAMETERS)
def test_classifier__has_the_published_number_of_parameters(name):
    parameters = sum(p.numel() for p in build(load(f'{name}_imagenet')).parameters())
    assert round(parameters / 2**20, 2) == PARAMETERS[name]


def test_evaluation__equals_torchvisions_preprocessing(tmp_path):
    """Resize(256) and CenterCrop(224) with Pillow, and ImageNet's mean and standard deviation."""
    import numpy as np
    import torchvision.transforms as T
    from mmengine.dataset import Compose
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import MODELS, TRANSFORMS
    from PIL import Image

    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (300, 411, 3), np.uint8))
    image.save(tmp_path / 'x.png')
    theirs = T.Compose(
        [
            T.Resize(256),
            T.CenterCrop(224),
            T.ToTensor(),
            T.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )(image)
    cfg = load('ecanet50_imagenet')
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        pipeline = Compose([TRANSFORMS.build(step) for step in cfg.val_dataloader.dataset.pipeline])
        preprocessor = MODELS.build(dict(type='ClsDataPreprocessor', **cfg.data_preprocessor))
    data = pipeline(dict(img_path=str(tmp_path / 'x.png'), gt_label=0))
    ours = preprocessor(dict(inputs=[data['inputs']], data_samples=[data['data_samples']]))['inputs'][0]
    torch.testing.assert_close(ours, theirs, rtol=0, atol=2e-5)


@pytest.mark.parametrize('attention', ATTENTIONS)
def test_cifar_config__takes_every_attention(attention):
    cfg = load('resnet18_cifar10')
    cfg.model.backbone.attention = attention
    assert build(cfg).head.fc.out_features == 10


@pytest.mark.parametrize('classes', [10, 100])
def test_cifar_configs__use_the_recipe_of_the_challenge(classes):
    cfg = load(f'resnet18_cifar{classes}')
    assert cfg.model.head.num_classes == cfg.data_preprocessor.num_classes == classes
    assert cfg.optim_wrapper.optimizer.lr == 0.1
    assert cfg.optim_wrapper.optimizer.weight_decay == 5e-4
    assert cfg.param_scheduler.milestones == [100, 150]
    assert cfg.train_dataloader.batch_size == cfg.auto_scale_lr.base_batch_size == 128
    assert cfg.data_preprocessor.mean == [123.675, 116.28, 103.53]
    assert not cfg.data_preprocessor.to_rgb  # CIFAR's images are RGB already
    assert build(cfg).backbone.eca_kernel_sizes == (3, 5, 5, 5)


@pytest.mark.parametrize('options', [dict(depth=50), dict(base_channels=32)])
def test_check__rejects_a_head_with_other_channels_than_the_backbone(options):
    from eca_mmdet.classification.task import ClassificationTask

    cfg = deepcopy(load('ecanet18_imagenet'))
    cfg.model.backbone.update(eca_kernel_sizes='3333', **options)
    model = build(cfg)
    channels = model.backbone.out_channels[-1]
    with pytest.raises(ValueError, match=f'--cfg-options model.head.in_channels={channels}'):
        ClassificationTask().check_model(cfg, model, 'train')
