"""A block's end whose gate goes into the weight of its last convolution."""

import pytest
import torch
from reference import eca
from test_eca_resnet import randomized
from test_fused import assert_near, assert_same_features, pair, step
from torch import nn

from eca_mmdet import ECALayer, ECAResNet
from eca_mmdet.backbones import fused as fused_module
from eca_mmdet.layers.eca_residual import conv_eca_residual, gate_folds

IMAGE = torch.randn(2, 3, 129, 161, generator=torch.Generator().manual_seed(1))


def end_of_a_block(dtype=torch.float32, size=(12, 13), **options):
    """Input, convolution, norm, attention and identity, without gradients."""
    conv, norm = nn.Conv2d(8, 32, **dict(dict(kernel_size=1), **options)), nn.BatchNorm2d(32).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    x, identity = (
        torch.randn(2, c, *size).to(dtype).contiguous(memory_format=torch.channels_last) for c in (8, 32)
    )
    layer = ECALayer(kernel_size=3)
    for module in (conv, norm, layer):
        module.to(dtype).requires_grad_(False)
    return x, conv, norm, layer, identity


@pytest.mark.parametrize('bias', [False, True])
def test_value__equals_the_plain_statement_in_the_memory_of_the_identity(bias):
    x, conv, norm, layer, identity = end_of_a_block(bias=bias)
    z = norm.double()(conv.double()(x.double()))
    expected = torch.relu(eca(z, layer.conv.weight.double()) + identity.double())
    for module in (conv, norm):
        module.float()
    assert gate_folds(x, conv, norm, layer, identity)
    out = conv_eca_residual(x, conv, norm, layer, identity)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    assert out.data_ptr() == identity.data_ptr()


@pytest.mark.parametrize(
    'options',
    [
        dict(kernel_size=3, padding=1),
        dict(padding=1),
        dict(groups=2),
        dict(dtype=torch.float64),
        dict(dtype=torch.bfloat16),
        dict(size=(11, 11)),  # 121 positions for 8 channels
    ],
)
def test_gate_folds__only_where_it_pays(options):
    assert not gate_folds(*end_of_a_block(**options))


@pytest.mark.parametrize('part', range(5))
def test_gate_folds__not_where_something_asks_for_a_gradient(part):
    parts = end_of_a_block()
    assert gate_folds(*parts)
    parts[part].requires_grad_()
    assert not gate_folds(*parts)
    with torch.no_grad():
        assert gate_folds(*parts) == (part != 4)  # the identity may be needed in a backward pass


def test_gate_folds__not_in_autocast_nor_of_other_memory():
    x, *middle, identity = end_of_a_block()
    assert not gate_folds(x.contiguous(), *middle, identity)
    assert not gate_folds(x, *middle, identity.contiguous())
    with torch.autocast('cpu', torch.bfloat16):
        assert not gate_folds(x, *middle, identity)


@pytest.fixture
def calls(monkeypatch):
    """The calls that a backbone makes."""
    seen = []

    def spy(*args):
        seen.append(args)
        return conv_eca_residual(*args)

    monkeypatch.setattr(fused_module, 'conv_eca_residual', spy)
    return seen


def test_backbone__gives_the_plain_features_in_both_modes(calls):
    fused, plain = pair(50, mode=False)
    assert_same_features(fused, plain, IMAGE)
    assert len(calls) == 1  # layer1
    fused, plain = pair(50, frozen_stages=1)
    (outs, grads), (expected, expected_grads) = step(fused, IMAGE), step(plain, IMAGE)
    assert len(calls) == 2
    assert_near(outs, expected, 2e-5)
    assert grads.keys() == expected_grads.keys()


def test_backbone__trains_an_attention_whose_convolutions_are_frozen(calls):
    grads = []
    for backbone in pair(50, norm_eval=True):
        for name, parameter in backbone.named_parameters():
            parameter.requires_grad_('eca' in name)
        grads.append(step(backbone, IMAGE)[1])
    assert not calls
    assert grads[0].keys() == grads[1].keys()
    assert all('eca' in name for name in grads[0])
    assert 'layer1.0.eca.conv.weight' in grads[0]


def test_backbone__leaves_alone_what_a_hook_may_hold(calls):
    backbone = randomized(ECAResNet(50, stage_blocks=(2, 1, 1, 1))).eval()
    with torch.no_grad():
        backbone(IMAGE)
        assert len(calls) == 2
        seen = []
        for name in ('layer1.0.downsample', 'layer1.1.conv1'):
            module = backbone.get_submodule(name)
            module.register_forward_hook(lambda m, i, o: seen.extend((t, t.clone()) for t in (*i, o)))
        backbone(IMAGE)
    assert len(calls) == 2
    assert len(seen) == 4
    assert all(torch.equal(kept, copy) for kept, copy in seen)
