"""Folding a frozen batch norm into a convolution changes neither values nor gradients."""

import pytest
import torch
from torch import nn

from eca_mmdet.fused.conv_norm import conv_norm, match_memory_format


def build_conv_and_norm(bias=False, groups=1, **options):
    conv = nn.Conv2d(4, 6, 3, padding=1, bias=bias, groups=groups, **options).double()
    norm = nn.BatchNorm2d(6).double().eval()
    for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)
    return conv, norm


@pytest.mark.parametrize('relu', [False, True])
@pytest.mark.parametrize('size', [2, 4, 9])  # many more weights than outputs, more, fewer
@pytest.mark.parametrize('options', [{}, dict(bias=True), dict(groups=2), dict(stride=2)])
def test_values_and_gradients__equal_conv_then_norm(options, size, relu):
    conv, norm = build_conv_and_norm(**options)
    x = torch.randn(1, 4, size, size, dtype=torch.float64, requires_grad=True)
    expected = norm(conv(x)).relu() if relu else norm(conv(x))
    out = conv_norm(x, conv, norm, relu)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    inputs, grad = (x, *conv.parameters(), *norm.parameters()), torch.randn_like(out)
    ours = torch.autograd.grad(out, inputs, grad)
    torch.testing.assert_close(ours, torch.autograd.grad(expected, inputs, grad), rtol=1e-10, atol=1e-12)
    with torch.no_grad():
        torch.testing.assert_close(conv_norm(x, conv, norm, relu), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize('frozen', ['conv', 'norm', 'input'])
def test_gradients__are_computed_for_tensors_that_require_them(frozen):
    conv, norm = build_conv_and_norm()
    x = torch.randn(1, 4, 5, 5, dtype=torch.float64, requires_grad=frozen != 'input')
    for parameter in dict(conv=conv, norm=norm, input=nn.Identity())[frozen].parameters():
        parameter.requires_grad = False
    inputs = [t for t in (x, *conv.parameters(), *norm.parameters()) if t.requires_grad]
    ours = torch.autograd.grad(conv_norm(x, conv, norm).square().sum(), inputs)
    theirs = torch.autograd.grad(norm(conv(x)).square().sum(), inputs)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('zeros', [slice(None), slice(2, 3)])
def test_gradient_of_gamma__is_exact_where_gamma_is_zero(zeros):
    conv, norm = build_conv_and_norm()
    norm.weight.data[zeros] = 0
    x = torch.randn(1, 4, 3, 3, dtype=torch.float64)
    ours = torch.autograd.grad(conv_norm(x, conv, norm).square().sum(), norm.weight)
    theirs = torch.autograd.grad(norm(conv(x)).square().sum(), norm.weight)
    assert theirs[0].abs().sum() > 0
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize('size', [(2, 64, 60, 64), (1, 3, 5, 7), (2, 1, 4, 4)])
def test_match_memory_format__changes_the_strides_only(size):
    x = torch.randn(size)
    x_last = x.contiguous(memory_format=torch.channels_last)
    for source, target in ((x, x_last), (x_last, x)):
        converted = match_memory_format(source, target)
        assert torch.equal(converted, x)
        assert converted.stride() == target.stride() or x.shape[1] == 1
