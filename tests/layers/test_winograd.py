"""Winograd's algorithm against torch's own convolution."""

import pytest
import torch
import torch.nn.functional as F

from eca_mmdet.layers import winograd

SIZES = [(1, 1, 1), (2, 4, 4), (3, 5, 9), (1, 3, 700), (1, 700, 3), (2, 30, 41), (150, 7, 8)]
"""Images, height and width: less than a tile, whole tiles, long rows of tiles, and many images."""


def draw_case(size, dtype=torch.float64, channels=(3, 5)):
    images, height, width = size
    shape = images, channels[0], height, width
    x = torch.randn(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(channels[1], channels[0], 3, 3, dtype=dtype)
    return x, weight, torch.randn(channels[1], dtype=dtype)


def relative_error(found, expected):
    return ((found - expected).norm() / expected.norm()).item()


@pytest.mark.parametrize('size', SIZES)
@pytest.mark.parametrize('has_bias', [True, False])
def test_convolution__equals_torch_in_float64(size, has_bias):
    x, weight, bias = draw_case(size)
    bias = bias if has_bias else None
    out = winograd.conv3x3(x, weight, bias)
    torch.testing.assert_close(out, F.conv2d(x, weight, bias, padding=1), rtol=0, atol=1e-12)
    assert out.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize('size', SIZES)
def test_gradients__equal_torch_in_float64(size):
    x, weight, _ = draw_case(size)
    out = F.conv2d(x.requires_grad_(), weight.requires_grad_(), padding=1)
    grad = torch.randn_like(out).contiguous(memory_format=torch.channels_last)
    grad_x, grad_weight = torch.autograd.grad(out, (x, weight), grad)
    x, weight = x.detach(), weight.detach()
    assert relative_error(winograd.grad_input(grad, weight), grad_x) < 1e-13
    assert relative_error(winograd.grad_weight(x, grad), grad_weight) < 1e-13


def test_float32_error__is_less_than_three_times_that_of_torch():
    x, weight, _ = draw_case((2, 40, 60), torch.float32, (128, 128))
    exact = F.conv2d(x.double(), weight.double(), padding=1)
    direct = relative_error(F.conv2d(x, weight, padding=1).double(), exact)
    assert relative_error(winograd.conv3x3(x, weight).double(), exact) < 3 * direct


@pytest.mark.parametrize('chunk_tiles', [1, 7, 1000])
def test_chunk_size__does_not_change_the_values(monkeypatch, chunk_tiles):
    x, weight, bias = draw_case((3, 18, 22))
    grad = torch.randn(3, 5, 18, 22, dtype=torch.float64).contiguous(memory_format=torch.channels_last)
    expected = winograd.conv3x3(x, weight, bias), winograd.grad_weight(x, grad)
    monkeypatch.setattr(winograd, 'CHUNK_TILES', chunk_tiles)
    found = winograd.conv3x3(x, weight, bias), winograd.grad_weight(x, grad)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)


def test_padding__is_zero_if_the_memory_contained_nan():
    x, weight, bias = draw_case((2, 8, 8))
    torch.full((200_000,), float('nan'), dtype=torch.float64)  # freed at once, so that its memory is reused
    assert winograd.conv3x3(x, weight, bias).isfinite().all()
