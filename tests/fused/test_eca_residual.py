"""The block tail with its own backward pass against the reference in plain torch."""

import pytest
import torch
from reference import eca

from eca_mmdet import ECALayer
from eca_mmdet.fused.eca_residual import eca_residual


def _inputs(dtype, memory_format, size=(2, 8, 5, 7)):
    layer = ECALayer(kernel_size=3).to(dtype)
    z, identity = (torch.randn(size, dtype=dtype).to(memory_format=memory_format) for _ in range(2))
    return layer, z.requires_grad_(), identity.requires_grad_()


@pytest.mark.parametrize('overwrite', [False, True])
@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('batch', [1, 2])
def test_values_and_gradients__equal_the_reference(memory_format, overwrite, batch):
    layer, z, identity = _inputs(torch.float64, memory_format, (batch, 8, 5, 7))
    out = eca_residual(z * 1, identity, layer, overwrite)
    expected = torch.relu(eca(z, layer.conv.weight) + identity)
    torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-12)
    inputs, grad = (z, identity, layer.conv.weight), torch.randn_like(out)
    ours = torch.autograd.grad(out, inputs, grad)
    theirs = torch.autograd.grad(expected, inputs, grad)
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_gradients__are_exact_where_the_gate_is_zero():
    layer, z, identity = _inputs(torch.float64, torch.contiguous_format)
    torch.nn.init.constant_(layer.conv.weight, -100.0)
    z.data.abs_()
    ours = torch.autograd.grad(eca_residual(z * 1, identity, layer, True).sum(), (z, layer.conv.weight))
    theirs = torch.autograd.grad((eca(z, layer.conv.weight) + identity).relu().sum(), (z, layer.conv.weight))
    torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_half_precision__differs_from_float64_by_rounding_only():
    layer, z, identity = _inputs(torch.float32, torch.contiguous_format, (2, 16, 9, 9))
    # No sum is near zero, where rounding would decide whether the ReLU is active.
    identity.data.copy_(4 * identity.sign() + identity / 8)
    low = [t.detach().bfloat16().requires_grad_() for t in (z, identity)]
    out = eca_residual(low[0] * 1, low[1], layer, overwrite=True)
    high = [t.detach().double().requires_grad_() for t in low]
    weight = layer.conv.weight.detach().double().requires_grad_()
    expected = torch.relu(eca(high[0], weight) + high[1])
    torch.testing.assert_close(out.double(), expected, rtol=2**-6, atol=2**-6)
    grad = torch.rand_like(out)
    ours = torch.autograd.grad(out, (*low, layer.conv.weight), grad)
    theirs = torch.autograd.grad(expected, (*high, weight), grad.double())
    for a, b in zip(ours, theirs):
        assert ((a.double() - b).norm() / b.norm()).item() < 2**-6


def test_second_derivatives__are_rejected():
    layer, z, identity = _inputs(torch.float64, torch.contiguous_format)
    out = eca_residual(z * 1, identity, layer)
    with pytest.raises(RuntimeError, match='fast=False'):
        torch.autograd.grad(out.sum(), z, create_graph=True)


def test_input__is_not_overwritten_by_default():
    layer, z, identity = _inputs(torch.float32, torch.contiguous_format)
    before = z.detach().clone()
    eca_residual(z, identity, layer)
    with torch.no_grad():
        eca_residual(z, identity, layer)
    torch.testing.assert_close(z.detach(), before, rtol=0, atol=0)
