"""Fast convolutions against ``torch.nn.Conv2d``."""

import copy

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from eca_mmdet.layers import fast_conv, winograd
from eca_mmdet.layers.fast_conv import FastConv2d, use_fast_convolutions


@pytest.fixture(autouse=True)
def _without_avx512(monkeypatch):
    """Make every machine behave like one without AVX-512."""
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX2')


@pytest.fixture
def winograd_calls(monkeypatch):
    """Names of the functions of ``winograd`` that were called."""
    calls = []

    def record(name, function):
        def recorded(*args):
            calls.append(name)
            return function(*args)

        monkeypatch.setattr(winograd, name, recorded)

    for name in ('conv3x3', 'grad_weight'):
        record(name, getattr(winograd, name))
    return calls


def draw_channels_last(*shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype).contiguous(memory_format=torch.channels_last)


def compare(conv, x):
    """Check that output and gradients of a convolution and its fast version are equal."""
    fast = nn.Sequential(copy.deepcopy(conv))
    assert use_fast_convolutions(fast) == 1
    results = []
    for module in (conv, fast):
        leaf = x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
        out = module(leaf)
        grad = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
        results.append((out.detach(), *torch.autograd.grad(out, [leaf, *module.parameters()], grad)))
    expected, found = results
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-9)


@pytest.mark.parametrize('bias', [True, False])
def test_large_convolution__uses_winograds_algorithm(winograd_calls, bias):
    compare(nn.Conv2d(96, 100, 3, padding=1, bias=bias).double(), draw_channels_last(2, 96, 32, 36))
    assert winograd_calls == ['conv3x3', 'conv3x3', 'grad_weight']


def test_output_that_fills_few_tiles__uses_winograd_for_the_weight_gradient_only(winograd_calls):
    compare(nn.Conv2d(96, 96, 3, padding=1).double(), draw_channels_last(10, 96, 14, 14))
    assert winograd_calls == ['grad_weight']


@pytest.mark.parametrize(
    ('options', 'shape'),
    [
        (dict(padding=1), (1, 96, 12, 12)),  # few tiles
        (dict(padding=0), (2, 96, 32, 36)),
        (dict(padding='same'), (2, 96, 32, 36)),
        (dict(padding=2, dilation=2), (2, 96, 32, 36)),
        (dict(padding=1, stride=2), (2, 96, 32, 36)),
        (dict(padding=1, groups=2), (2, 96, 32, 36)),
        (dict(padding=1, padding_mode='reflect'), (2, 96, 32, 36)),
    ],
)
def test_other_convolutions__do_not_use_winograd(winograd_calls, options, shape):
    compare(nn.Conv2d(96, 96, 3, **options).double(), draw_channels_last(*shape))
    assert not winograd_calls


def test_contiguous_input_and_processors_with_avx512__use_onednn(winograd_calls, monkeypatch):
    conv = nn.Conv2d(96, 96, 3, padding=1).double()
    compare(conv, draw_channels_last(2, 96, 32, 36).contiguous())
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX512')
    compare(conv, draw_channels_last(2, 96, 32, 36))
    assert not winograd_calls


@pytest.mark.parametrize('needs_grad', [(True, True), (True, False), (False, True), (False, False)])
@pytest.mark.parametrize('stride', [1, 2])
def test_gradients__are_computed_for_tensors_that_require_them(needs_grad, stride):
    x, weight = draw_channels_last(2, 64, 36, 40), torch.randn(64, 64, 3, 3, dtype=torch.float64)
    options = (stride, stride), (1, 1), (1, 1), 1
    x.requires_grad_(), weight.requires_grad_()
    out = torch.nn.functional.conv2d(x, weight, None, *options)
    grad = draw_channels_last(*out.shape)
    found = fast_conv.conv2d_backward(grad, x.detach(), weight.detach(), options, needs_grad)
    expected = torch.autograd.grad(out, (x, weight), grad)
    for is_needed, grad_found, grad_expected in zip(needs_grad, found, expected):
        if is_needed:
            torch.testing.assert_close(grad_found, grad_expected, rtol=1e-10, atol=1e-9)
        else:
            assert grad_found is None


def test_output__can_be_changed_in_place():
    module = ConvModule(96, 96, 3, padding=1).double()
    plain = copy.deepcopy(module)
    assert use_fast_convolutions(module) == 1
    x = draw_channels_last(2, 96, 32, 36)
    found = torch.autograd.grad(module(x).square().sum(), list(module.parameters()))
    expected = torch.autograd.grad(plain(x).square().sum(), list(plain.parameters()))
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


def test_second_derivatives__are_rejected():
    conv, x = FastConv2d(96, 96, 3, padding=1).double(), draw_channels_last(2, 96, 32, 36).requires_grad_()
    (grad,) = torch.autograd.grad(conv(x).square().sum(), x, create_graph=True)
    with pytest.raises(RuntimeError, match='once_differentiable'):
        grad.sum().backward()


def test_autocast_and_traces__use_the_convolution_of_torch(winograd_calls):
    conv, x = FastConv2d(96, 96, 3, padding=1), draw_channels_last(2, 96, 32, 36, dtype=torch.float32)
    with torch.autocast('cpu', torch.bfloat16):
        assert conv(x).dtype == torch.bfloat16
    assert '_convolution' in str(torch.jit.trace(conv, x, check_trace=False).graph)
    assert not winograd_calls


def test_flop_counter__counts_as_in_the_plain_convolution():
    x, counts = draw_channels_last(2, 96, 32, 36), []
    for cls in (nn.Conv2d, FastConv2d):
        with FlopCounterMode(display=False) as counter:
            cls(96, 96, 3, padding=1).double()(x)
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def test_replacement__keeps_names_parameters_and_modified_convolutions():
    class Subclass(nn.Conv2d):
        pass

    hooked = nn.Conv2d(4, 4, 3)
    hooked.register_forward_hook(lambda *_: None)
    patched = nn.Conv2d(4, 4, 3)
    patched.forward = lambda x: x
    module = nn.Sequential(nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 1), Subclass(4, 4, 3), hooked, patched)
    before = dict(module.named_parameters())
    assert use_fast_convolutions(module) == 1
    assert [type(child) for child in module] == [FastConv2d, nn.Conv2d, Subclass, nn.Conv2d, nn.Conv2d]
    after = dict(module.named_parameters())
    assert list(after) == list(before)
    assert all(after[name] is before[name] for name in before)
