"""Convolutions on a CPU that are faster than oneDNN's, with the same values.

They are only used on processors without AVX-512, for inputs in ``channels_last``. Large 3x3 convolutions use
Winograd's algorithm (``winograd.py``). The weight gradient of the others is computed in contiguous memory
format.

Measured on an AMD EPYC (Zen 3, AVX2, 2 threads), a training step takes 0.76 to 0.93 of the time with oneDNN
for RetinaNet and Mask R-CNN, where neck and heads use these convolutions. It takes 0.87 of the time for Mask
R-CNN on the nuclei dataset, where the backbone uses them too because its norms train. Convolutions with
folded norms gained nothing and use oneDNN. Processors with AVX-512 were not measured.
"""

from typing import Any, List, Optional, Sequence, Tuple, TypeGuard

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import wrappers
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from . import winograd
from .observation import is_observed

# Winograd's algorithm is used from these sizes on. Below them, oneDNN is faster.
MIN_TILES = 128  # of 4 x 4 pixels
MIN_CHANNELS = 96  # of input and output
MIN_CHANNELS_FOR_GRAD_WEIGHT = 64
MIN_TILE_COVERAGE = 0.85  # share of the tiles' pixels that lie on the output; not for the weight gradient

Options = Tuple[Tuple[int, int], Tuple[int, int], Tuple[int, int], int]
"""Stride, padding, dilation and groups."""

_WINOGRAD_OPTIONS: Options = ((1, 1), (1, 1), (1, 1), 1)


def convolve(x: Tensor, conv: nn.Conv2d) -> Tensor:
    """Compute ``conv(x)`` for ``x`` ``(N, C, H, W)``, with a fast convolution where it is supported.

    Fast convolutions support first derivatives only. Traces, modes, transforms, autocast and tensor
    subclasses get ``torch.nn.Conv2d``.
    """
    if not _is_supported(x, conv):
        return nn.Conv2d.forward(conv, x)
    return _Conv2d.apply(x, conv.weight, conv.bias, _options(conv))


def _options(conv: nn.Conv2d) -> Options:
    return conv.stride, conv.padding, conv.dilation, conv.groups  # type: ignore[return-value]  # torch declares longer tuples


def _is_supported(x: Tensor, conv: nn.Conv2d) -> bool:
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


def _is_slow_in_channels_last(x: Tensor) -> bool:
    """Whether oneDNN would use its slow kernels for ``channels_last`` without AVX-512."""
    return (
        x.device.type == 'cpu'
        and x.dtype in (torch.float32, torch.float64)
        and not x.is_contiguous()
        and x.is_contiguous(memory_format=torch.channels_last)
        and torch.backends.cpu.get_cpu_capability() == 'AVX2'
    )


def conv2d_backward(
    grad: Tensor, x: Tensor, weight: Tensor, options: Options, needs_input_grad: Sequence[bool]
) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    """Compute the gradients of a convolution that ``convolve`` supports.

    Args:
        grad: Gradient of the output, in ``channels_last``.
        x: Input ``(N, C, H, W)`` in ``channels_last``.
        weight: Weight ``(K, C / groups, height, width)``.
        options: Options of the convolution.
        needs_input_grad: Whether ``x`` and ``weight`` require a gradient.

    Returns:
        The gradients of ``x`` and ``weight``, ``None`` where not required.
    """
    needs_x, needs_weight = needs_input_grad
    grad_x = grad_weight = None
    if needs_x and _suits_winograd(x, weight, options):
        grad_x = winograd.grad_input(grad, weight)
    elif needs_x:
        grad_x, _ = _torch_backward(grad, x, weight, options, [True, False])
    if needs_weight and _grad_weight_suits_winograd(x, weight, options):
        grad_weight = winograd.grad_weight(x, grad)
    elif needs_weight:
        _, grad_weight = _torch_backward(grad.contiguous(), x.contiguous(), weight, options, [False, True])
    return grad_x, grad_weight


def _torch_backward(
    grad: Tensor, x: Tensor, weight: Tensor, options: Options, needs_input_grad: List[bool]
) -> Tuple[Tensor, Tensor]:
    stride, padding, dilation, groups = options
    output_mask = [*needs_input_grad, False]
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, [0, 0], groups, output_mask
    )[:2]


def _suits_winograd(x: Tensor, weight: Tensor, options: Options) -> bool:
    if not _grad_weight_suits_winograd(x, weight, options) or min(weight.shape[:2]) < MIN_CHANNELS:
        return False
    return x[:, 0].numel() >= MIN_TILE_COVERAGE * 16 * winograd.count_tiles(x)


def _grad_weight_suits_winograd(x: Tensor, weight: Tensor, options: Options) -> bool:
    return (
        weight.shape[2:] == (3, 3)
        and options == _WINOGRAD_OPTIONS
        and min(weight.shape[:2]) >= MIN_CHANNELS_FOR_GRAD_WEIGHT
        and winograd.count_tiles(x) >= MIN_TILES
    )


class FastConv2d(nn.Conv2d):
    """``torch.nn.Conv2d`` computed by ``convolve``."""

    def forward(self, input: Tensor) -> Tensor:
        """Convolve ``input`` ``(N, C, H, W)``."""
        return convolve(input, self)


class _Conv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Optional[Tensor], options: Options) -> Tensor:
        ctx.options = options
        ctx.save_for_backward(x, weight)
        if _suits_winograd(x, weight, options):
            return winograd.conv3x3(x, weight, bias)
        return F.conv2d(x, weight, bias, *options)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, weight = ctx.saved_tensors
        *needs_input_grad, needs_bias, _ = ctx.needs_input_grad
        grad = grad.contiguous(memory_format=torch.channels_last)
        grad_x, grad_weight = conv2d_backward(grad, x, weight, ctx.options, needs_input_grad)
        return grad_x, grad_weight, grad.sum((0, 2, 3)) if needs_bias else None, None


def use_fast_convolutions(module: nn.Module) -> int:
    """Replace the 3x3 convolutions in a module by ``FastConv2d`` with the same parameters.

    Convolutions of subclasses, with hooks or with patched attributes are not replaced.

    Returns:
        The number of replaced convolutions.
    """
    convs = [
        (parent, name, child)
        for parent in module.modules()
        for name, child in parent.named_children()
        if _is_replaceable(child)
    ]
    for parent, name, conv in convs:
        sizes = conv.in_channels, conv.out_channels, 3, *_options(conv), conv.bias is not None
        fast = FastConv2d(*sizes, conv.padding_mode, device='meta').train(conv.training)
        fast.weight, fast.bias = conv.weight, conv.bias
        setattr(parent, name, fast)
    return len(convs)


def _is_replaceable(module: nn.Module) -> TypeGuard[nn.Conv2d]:
    if type(module) not in (nn.Conv2d, wrappers.Conv2d) or module.kernel_size != (3, 3):
        return False
    attributes = vars(module)
    has_hooks = any(value for name, value in attributes.items() if name.endswith('_hooks'))
    return not has_hooks and attributes.keys() <= vars(nn.Conv2d(1, 1, 3, device='meta')).keys()
