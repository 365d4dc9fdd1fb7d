"""Converted classifiers give the logits of the network that they come from."""

import pytest
import reference
import reference_mobilenet
import torch
from conftest import ROOT
from mmengine.config import Config
from torch.nn.functional import linear

pytestmark = pytest.mark.usefixtures('mmpretrain')


def classify(name, state_dict, x, **backbone):
    """Logits of the classifier of an ImageNet config, in double precision, with converted weights."""
    from mmengine.registry import DefaultScope
    from mmpretrain.registry import MODELS

    from eca_mmdet.checkpoints import convert

    cfg = Config.fromfile(ROOT / f'configs/classification/{name}_imagenet.py')
    cfg.model.backbone.update(backbone)
    with DefaultScope.overwrite_default_scope('mmpretrain'), torch.device('meta'):
        model = MODELS.build(cfg.model).to(torch.float64)
    model.to_empty(device='cpu')
    model.load_state_dict(convert(state_dict, target='mmpretrain').state_dict, strict=True)
    with torch.no_grad():
        return model.eval()(x, mode='tensor')


@pytest.fixture
def x():
    return torch.randn(2, 3, 64, 64, dtype=torch.float64)


def assert_equal(ours, theirs):
    torch.testing.assert_close(ours / theirs.abs().max(), theirs / theirs.abs().max(), rtol=0, atol=1e-9)


@pytest.mark.parametrize('depth', [18, 50])
def test_official_resnet__keeps_its_logits(depth, x):
    weights = reference.official_state_dict(depth, dtype=torch.float64)
    w = {name.removeprefix('module.'): value for name, value in weights.items()}
    pooled = reference.features(w, x, depth)[-1].mean((2, 3))
    assert_equal(classify(f'ecanet{depth}', weights, x), linear(pooled, w['fc.weight'], w['fc.bias']))


def test_official_mobilenet__keeps_its_logits(x):
    weights = reference_mobilenet.official_state_dict(dtype=torch.float64)
    w = {name.removeprefix('module.'): value for name, value in weights.items()}
    pooled = reference_mobilenet.features(w, x)[-1].mean((2, 3))
    expected = linear(pooled, w['classifier.1.weight'], w['classifier.1.bias'])
    assert_equal(classify('ecamobilenetv2', weights, x), expected)


@pytest.mark.parametrize(
    ('name', 'config', 'backbone'),
    [
        ('ecaresnet26t', 'ecanet50', dict(depth=26, eca_kernel_sizes='5557', deep_stem=True, avg_down=True,
                                          stem_channels=(24, 32, 64))),
        ('seresnet50', 'senet50', dict(attention=dict(type='SELayer', bias=True))),
        ('resnet18', 'resnet18', {}),
    ],
)  # fmt: skip
def test_timm__keeps_its_logits(name, config, backbone, x):
    timm = pytest.importorskip('timm')

    model = timm.create_model(name).double().eval()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # timm sets the last weight of a block to zero
            torch.nn.init.uniform_(module.weight, 0.2, 0.6)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    with torch.no_grad():
        expected = model(x)
    assert_equal(classify(config, model.state_dict(), x, **backbone), expected)
