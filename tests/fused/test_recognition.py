"""The fused forward pass replaces modules only if it computes exactly what they compute."""

import copy

import pytest
import torch
from backbone_pairs import (
    X,
    assert_same,
    assert_same_features,
    image,
    pair,
    record_fused_blocks,
    small_pair,
)
from mmcv.cnn import fuse_conv_bn
from mmengine.logging import MMLogger
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm


def test_small_backbone__is_fused_in_every_block(monkeypatch):
    blocks = record_fused_blocks(monkeypatch)
    assert_same(*small_pair(), image())
    assert len(blocks) == 2


def test_default_backbone__is_fused_in_every_block(monkeypatch):
    blocks = record_fused_blocks(monkeypatch)
    assert_same(*pair(50, dtype=torch.float64), x=X.double())
    assert len(blocks) == 5


def test_model_fused_by_mmcv__takes_the_fused_pass(monkeypatch):
    blocks = record_fused_blocks(monkeypatch)
    fused, plain = small_pair()
    assert_same_features(fuse_conv_bn(fused), plain, image(), tolerance=1e-10)
    assert len(blocks) == 2


class GuidedReLU(nn.ReLU):
    """The ReLU of guided backpropagation, whose backward pass drops negative gradients."""

    def forward(self, x):
        return _GuidedReLU.apply(x)


class _GuidedReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad.clamp(min=0) * (x > 0)


@pytest.mark.parametrize('name', ['relu', 'layer1.0.relu', 'layer2.0.relu'])
@pytest.mark.parametrize('activation', [nn.LeakyReLU(0.1), nn.SiLU(), GuidedReLU(), nn.ReLU6()])
def test_replaced_activation__is_used(name, activation):
    fused, plain = small_pair()
    for backbone in (fused, plain):
        backbone.set_submodule(name, activation)
    assert_same(fused, plain, image())


@pytest.mark.parametrize('name', ['conv1', 'layer1.0.conv2', 'layer2.0.downsample.0', 'layer1.0.bn3'])
@pytest.mark.parametrize('wrap', [parametrizations.weight_norm, spectral_norm, None])
def test_reparametrised_weight__is_used(name, wrap):
    fused, plain = small_pair()
    for backbone in (fused, plain):
        torch.manual_seed(0)
        module = backbone.get_submodule(name)
        if wrap is None:
            prune.l1_unstructured(module, 'weight', amount=0.5)
        elif not isinstance(module, nn.BatchNorm2d):
            wrap(module)
    assert_same(fused, plain, image())


@pytest.mark.parametrize(
    'conv',
    [
        nn.Conv1d(1, 1, 3, padding=1, bias=True),
        nn.Conv1d(1, 1, 3, padding=2, dilation=2, bias=False),
        nn.Conv1d(1, 1, 3, padding=1, bias=False, padding_mode='circular'),
    ],
)
def test_replaced_convolution_of_the_attention__is_used(conv):
    fused, plain = small_pair()
    for backbone in (fused, plain):
        backbone.layer1[0].eca.conv = copy.deepcopy(conv).double()
    assert_same(fused, plain, image())


def test_patched_forward__is_called():
    fused, plain = small_pair()
    for backbone in (fused, plain):
        bn = backbone.layer1[0].bn2
        bn.forward = lambda x, bn=bn: 2 * type(bn).forward(bn, x)
    assert_same(fused, plain, image())


def test_log__counts_the_fused_blocks(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger, 'info', lambda self, line: lines.append(line))
    fused, _ = small_pair()
    fused.layer1[0].relu = nn.SiLU()
    fused(image())
    assert lines == ['ECAResNet: fused forward pass in 1 of 2 blocks (fast=False turns it off)']
