"""A block's end whose gate goes into the weight of its last convolution."""

import copy

import pytest
import torch
from reference import eca
from test_eca_resnet import randomized
from test_fused import assert_near, assert_same_features, pair, step
from torch import nn

from eca_mmdet import ECALayer, ECAResNet
from eca_mmdet.backbones import fused as fused_module
from eca_mmdet.layers.conv_eca_residual import conv_eca_residual, gate_folds

IMAGE = torch.randn(2, 3, 129, 161, generator=torch.Generator().manual_seed(1))


def end_of_a_block(dtype=torch.float32, size=(12, 13), batch=2, **options):
    """Input, convolution, norm, attention and identity, without gradients."""
    conv, norm = nn.Conv2d(8, 32, **dict(dict(kernel_size=1), **options)), nn.BatchNorm2d(32).eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    x, identity = (
        torch.randn(batch, c, *size).to(dtype).contiguous(memory_format=torch.channels_last) for c in (8, 32)
    )
    layer = ECALayer(kernel_size=3)
    for module in (conv, norm, layer):
        module.to(dtype).requires_grad_(False)
    return x, conv, norm, layer, identity


def plain(x, conv, norm, layer, identity):
    return torch.relu(eca(norm(conv(x)), layer.conv.weight) + identity)


def leaves(x, conv, norm, layer, identity):
    return [x, *conv.parameters(), *norm.parameters(), *layer.parameters(), identity]


@pytest.mark.parametrize('size', [(2, 8), (12, 13)])
@pytest.mark.parametrize('batch', [1, 3])
@pytest.mark.parametrize('bias', [False, True])
def test_gradients__equal_those_of_the_plain_statement(bias, batch, size):
    parts = end_of_a_block(torch.float64, size, batch, bias=bias)
    for leaf in leaves(*parts):
        leaf.requires_grad_()
    parts[2].weight.data[3] = 0
    assert gate_folds(*parts, own=False)
    out, expected = conv_eca_residual(*parts), plain(*parts)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    grad = torch.randn_like(out)
    ours = torch.autograd.grad(out, leaves(*parts), grad)
    theirs = torch.autograd.grad(expected, leaves(*parts), grad)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)
    for a, leaf in zip(ours, leaves(*parts)):
        assert a.stride() == leaf.stride()


@pytest.mark.parametrize('asking', range(6))
def test_gradients__come_for_what_asks_for_them_only(asking):
    parts = end_of_a_block(torch.float64)
    leaf = leaves(*parts)[asking].requires_grad_()
    out = conv_eca_residual(*parts)
    (ours,), (theirs,) = (torch.autograd.grad(o.square().sum(), [leaf]) for o in (out, plain(*parts)))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_half_precision__is_within_rounding_of_float64():
    parts = end_of_a_block(torch.bfloat16)
    identity = parts[-1].mul_(4)
    identity.copy_(identity.sign() * (identity.abs() + 6))  # no sum near zero, where rounding decides
    high = tuple(t.double() if torch.is_tensor(t) else copy.deepcopy(t).double() for t in parts)
    for leaf in (*leaves(*parts), *leaves(*high)):
        leaf.requires_grad_()
    out, expected = conv_eca_residual(*parts), plain(*high)
    torch.testing.assert_close(out.double(), expected, rtol=2**-6, atol=2**-6)
    grad = torch.rand_like(out)
    ours = torch.autograd.grad(out, leaves(*parts), grad)
    theirs = torch.autograd.grad(expected, leaves(*high), grad.double())
    for a, b in zip(ours, theirs):
        assert ((a.double() - b).norm() / b.norm()).item() < 2**-5


def test_second_derivatives__are_refused_with_an_error():
    parts = end_of_a_block(torch.float64)
    parts[0].requires_grad_()
    with pytest.raises(RuntimeError, match='fast=False'):
        torch.autograd.grad(conv_eca_residual(*parts).sum(), parts[0], create_graph=True)


def test_backward_pass__keeps_neither_the_convolutions_output_nor_the_identity():
    parts, kept = end_of_a_block(), []
    for leaf in leaves(*parts):
        leaf.requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        out = conv_eca_residual(*parts)
    large = [t for t in kept if t.numel() >= out.numel()]
    assert [t.data_ptr() for t in large] == [out.data_ptr()]


@pytest.mark.parametrize('bias', [False, True])
def test_value__equals_the_plain_statement_in_the_memory_of_the_identity(bias):
    x, conv, norm, layer, identity = end_of_a_block(bias=bias)
    z = norm.double()(conv.double()(x.double()))
    expected = torch.relu(eca(z, layer.conv.weight.double()) + identity.double())
    for module in (conv, norm):
        module.float()
    assert gate_folds(x, conv, norm, layer, identity, own=True)
    out = conv_eca_residual(x, conv, norm, layer, identity)
    torch.testing.assert_close(out.double(), expected, rtol=1e-5, atol=1e-5)
    assert out.data_ptr() == identity.data_ptr()


UNFIT = [dict(kernel_size=3, padding=1), dict(padding=1), dict(stride=2), dict(groups=2)]


@pytest.mark.parametrize(
    'options',
    [
        *UNFIT,
        dict(dtype=torch.float64),
        dict(dtype=torch.bfloat16),
        dict(size=(11, 11)),  # 121 positions for 8 channels
    ],
)
def test_gate_folds__in_the_identitys_memory_only_where_it_pays(options):
    assert not gate_folds(*end_of_a_block(**options), own=True)


@pytest.mark.parametrize('options', [*UNFIT, dict(size=(3, 5)), dict(dtype=torch.float16)])
def test_gate_folds__in_training_only_where_it_pays(options):
    parts = end_of_a_block(**options)
    parts[0].requires_grad_()
    assert not gate_folds(*parts, own=False)


def test_gate_folds__not_in_memory_that_others_hold():
    parts = end_of_a_block()
    assert not gate_folds(*parts, own=False)
    parts[-1].requires_grad_()
    with torch.no_grad():
        assert not gate_folds(*parts, own=True)  # the identity may be needed in a backward pass


@pytest.mark.parametrize('asks', [False, True])
def test_gate_folds__not_in_autocast_nor_of_other_layouts(asks):
    x, *middle, identity = end_of_a_block()
    x.requires_grad_(asks)
    assert gate_folds(x, *middle, identity, own=True)
    assert not gate_folds(x.contiguous(), *middle, identity, own=True)
    assert not gate_folds(x, *middle, identity.contiguous(), own=True)
    with torch.autocast('cpu', torch.bfloat16):
        assert not gate_folds(x, *middle, identity, own=True)


@pytest.fixture
def calls(monkeypatch):
    """The calls of a backbone that overwrite the identity."""
    seen = []

    def spy(*args):
        out = conv_eca_residual(*args)
        if out is args[-1]:
            seen.append(args)
        return out

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
