"""Convolutions on a CPU that are faster than oneDNN's where that was measured, with the same values.

On processors without AVX-512, large 3x3 convolutions in ``channels_last`` use Winograd's algorithm
(``winograd.py``), and the weight gradient of the others is computed in contiguous memory format. On an AMD
EPYC (Zen 3, AVX2, 2 threads) that takes 0.76 to 0.93 of oneDNN's time in a training step of RetinaNet and
Mask R-CNN, where it runs in neck and heads, and 0.87 in one of the nuclei's Mask R-CNN, whose norms train.
Between folded norms it gained nothing. Processors with AVX-512 run oneDNN: nothing was measured on them.
"""

from typing import Any, List, Optional, Tuple

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import wrappers
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from . import winograd
from .observation import is_observed

FEWEST_TILES = 128  # of 4 x 4 pixels
FEWEST_CHANNELS = 96  # of input and output
FEWEST_CHANNELS_OF_GRADIENT = 64  # for the weight gradient
SMALLEST_SHARE = 0.85  # of the tiles' pixels that lie on the output; the weight gradient needs none
"""Where Winograd's algorithm is no slower than oneDNN."""

Options = Tuple[Tuple[int, int], Tuple[int, int], Tuple[int, int], int]
"""Stride, padding, dilation and groups."""

_ORDINARY: Options = ((1, 1), (1, 1), (1, 1), 1)


def conv2d(x: Tensor, weight: Tensor, bias: Optional[Tensor], options: Options) -> Tensor:
    """Compute ``torch.nn.functional.conv2d(x, weight, bias, *options)``, without autograd."""
    if _suits_winograd(x, weight, options):
        return winograd.conv3x3(x, weight, bias)
    return F.conv2d(x, weight, bias, *options)


def convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Compute ``conv(x)`` for ``x`` ``(N, C, H, W)``; where it is faster, with first derivatives only.

    What a trace, a mode, a transform, autocast or a tensor subclass must see runs as ``torch.nn.Conv2d``.
    """
    if not _takes(x, conv):
        return nn.Conv2d.forward(conv, x)
    return _Conv2d.apply(x, conv.weight, conv.bias, _options(conv))


def _options(conv: nn.Conv2d) -> Options:
    return conv.stride, conv.padding, conv.dilation, conv.groups


def _takes(x: Tensor, conv: nn.Conv2d) -> bool:
    return (
        type(x) in (Tensor, nn.Parameter)
        and type(conv.weight) in (Tensor, nn.Parameter)
        and x.dtype == conv.weight.dtype
        and x.dim() == 4
        and x.shape[1] == conv.in_channels
        and conv.weight.shape[2:].numel() > 1
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not torch.is_autocast_enabled(x.device.type)
        and _is_slow_in_channels_last(x)
        and not is_observed()
    )


def conv2d_backward(
    grad: Tensor, x: Tensor, weight: Tensor, options: Options, needs: Tuple[bool, bool]
) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    """Return the gradients of ``conv2d`` for ``x`` and ``weight``, each where ``needs`` says so."""
    needs_x, needs_weight = needs
    grad_x = grad_weight = None
    if needs_x and _suits_winograd(x, weight, options):
        grad_x, needs_x = winograd.grad_input(grad, weight), False
    if needs_weight and _gradient_suits_winograd(x, weight, options):
        grad_weight, needs_weight = winograd.grad_weight(x, grad), False
    elif needs_weight and weight.shape[2:].numel() > 1 and _is_slow_in_channels_last(x):
        _, grad_weight = _torch_backward(grad.contiguous(), x.contiguous(), weight, options, [False, True])
        needs_weight = False
    if needs_x or needs_weight:
        found = _torch_backward(grad, x, weight, options, [needs_x, needs_weight])
        grad_x, grad_weight = found[0] if needs_x else grad_x, found[1] if needs_weight else grad_weight
    return grad_x, grad_weight


def _torch_backward(
    grad: Tensor, x: Tensor, weight: Tensor, options: Options, needs: List[bool]
) -> Tuple[Tensor, Tensor]:
    stride, padding, dilation, groups = options
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, [0, 0], groups, [*needs, False]
    )[:2]


def _suits_winograd(x: Tensor, weight: Tensor, options: Options) -> bool:
    if not _gradient_suits_winograd(x, weight, options) or min(weight.shape[:2]) < FEWEST_CHANNELS:
        return False
    return x[:, 0].numel() >= SMALLEST_SHARE * 16 * winograd.number_of_tiles(x)


def _gradient_suits_winograd(x: Tensor, weight: Tensor, options: Options) -> bool:
    return (
        weight.shape[2:] == (3, 3)
        and options == _ORDINARY
        and min(weight.shape[:2]) >= FEWEST_CHANNELS_OF_GRADIENT
        and _is_slow_in_channels_last(x)
        and winograd.number_of_tiles(x) >= FEWEST_TILES
    )


def _is_slow_in_channels_last(x: Tensor) -> bool:
    """Whether oneDNN's kernels of this processor are the slow ones, and would get this tensor."""
    return (
        x.device.type == 'cpu'
        and x.dtype in (torch.float32, torch.float64)
        and not x.is_contiguous()
        and x.is_contiguous(memory_format=torch.channels_last)
        and torch.backends.cpu.get_cpu_capability() == 'AVX2'
    )


class FastConv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` by ``convolve``."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``(N, C, H, W)``."""
        return convolve(input, self)


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Optional[Tensor], options: Options) -> Tensor:
        ctx.options = options
        ctx.save_for_backward(x, weight)
        return conv2d(x, weight, bias, options)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, weight = ctx.saved_tensors
        grad = grad.contiguous(memory_format=torch.channels_last)
        grads = conv2d_backward(grad, x, weight, ctx.options, ctx.needs_input_grad[:2])
        return (*grads, grad.sum((0, 2, 3)) if ctx.needs_input_grad[2] else None, None)


def use_fast_convolutions(module: nn.Module) -> int:
    """Replace the 3x3 convolutions below a module by ``FastConv2d`` with the same parameters.

    Convolutions of other classes, with hooks or with other attributes than their own stay.

    Returns:
        How many were replaced.
    """
    found = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if type(child) in (nn.Conv2d, wrappers.Conv2d) and child.kernel_size == (3, 3)
    ]
    plain = set(vars(nn.Conv2d(1, 1, 3)))
    found = [entry for entry in found if set(vars(entry[2])) <= plain and not _has_hooks(entry[2])]
    for parent, name, conv in found:
        sizes = conv.in_channels, conv.out_channels, conv.kernel_size, *_options(conv), conv.bias is not None
        fast = FastConv2d(*sizes, conv.padding_mode, device='meta').train(conv.training)
        fast.weight, fast.bias = conv.weight, conv.bias
        setattr(parent, name, fast)
    return len(found)


def _has_hooks(module: nn.Module) -> bool:
    return any(value for key, value in vars(module).items() if key.endswith('_hooks'))
