"""The ECA layer against the equations of its paper."""

import pytest
import torch
from mmcv.cnn import build_plugin_layer
from reference import eca, eca_fast

from eca_mmdet import ECALayer, eca_kernel_size


@pytest.mark.parametrize(
    ('channels', 'size'), [(64, 3), (128, 5), (256, 5), (512, 5), (1024, 5), (2048, 7), (16, 3), (1, 1)]
)
def test_kernel_size__follows_the_equation(channels, size):
    assert eca_kernel_size(channels) == size


def test_kernel_size__depends_on_gamma_and_b():
    assert eca_kernel_size(256, gamma=1, b=1) == 9
    assert eca_kernel_size(256, gamma=2, b=3) == 5


@pytest.mark.parametrize('arguments', [dict(channels=0), dict(channels=64, gamma=0)])
def test_kernel_size__rejects_invalid_arguments(arguments):
    with pytest.raises(ValueError, match='channels must be >= 1 and gamma > 0'):
        eca_kernel_size(**arguments)


@pytest.mark.parametrize('size', [1, 3, 5, 7, 9])
@pytest.mark.parametrize('shape', [(2, 16, 5, 7), (1, 3, 1, 1), (3, 2, 4, 4)])
def test_values_and_gradients__equal_the_equation(size, shape):
    layer = ECALayer(kernel_size=size).double()
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(shape, dtype=torch.float64)
    ours = layer(x)
    theirs = eca(x, layer.conv.weight)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    inputs = (x, layer.conv.weight)
    grads, expected_grads = (torch.autograd.grad(out, inputs, grad) for out in (ours, theirs))
    torch.testing.assert_close(grads, expected_grads, rtol=0, atol=1e-10)


def test_reference_implementations__are_equal():
    x, weight = torch.randn(2, 12, 3, 4, dtype=torch.float64), torch.randn(1, 1, 5, dtype=torch.float64)
    torch.testing.assert_close(eca(x, weight), eca_fast(x, weight), rtol=0, atol=1e-12)


def test_gradients__pass_gradcheck():
    layer = ECALayer(kernel_size=3).double()
    assert torch.autograd.gradcheck(layer, torch.randn(2, 4, 3, 2, dtype=torch.float64, requires_grad=True))


@pytest.mark.parametrize('size', [0, 2, -3, 3.0, '3', True])
def test_kernel_size__must_be_a_positive_odd_integer(size):
    with pytest.raises(ValueError, match='positive odd integer'):
        ECALayer(kernel_size=size)


def test_layer__needs_a_kernel_size_or_channels():
    with pytest.raises(ValueError, match='needs kernel_size, or in_channels'):
        ECALayer()


def test_plugin__has_the_name_of_the_released_weights():
    name, layer = build_plugin_layer(dict(type='ECALayer'), in_channels=2048)
    assert (name, layer.kernel_size) == ('eca', 7)
    assert list(layer.state_dict()) == ['conv.weight']
