"""Changes of memory format by the routes that torch's CPU kernels do well.

Values and shapes ``(N, C, H, W)`` never change here, only the order in memory.
"""

import torch
from torch import Tensor


def like(x: Tensor, other: Tensor) -> Tensor:
    """``x`` in the memory format of ``other``, outside of autograd."""
    return contiguous(x) if other.is_contiguous() else channels_last(x)


def contiguous(x: Tensor) -> Tensor:
    """``x`` in the order (N, C, H, W)."""
    if x.is_contiguous() or not is_channels_last_on_cpu(x):
        return x.contiguous()
    # torch's copy has a blocked route for transposed matrices only, two to four times as fast.
    out = torch.empty_like(x, memory_format=torch.contiguous_format)
    for target, source in zip(out, x):
        target.flatten(1).copy_(source.permute(1, 2, 0).flatten(0, 1).t())  # (C, HW) from (HW, C)
    return out


def channels_last(x: Tensor) -> Tensor:
    """``x`` in the order (N, H, W, C)."""
    if is_channels_last_on_cpu(x) or not x.is_contiguous() or x.device.type != 'cpu':
        return x.contiguous(memory_format=torch.channels_last)
    out = torch.empty_like(x, memory_format=torch.channels_last)
    for target, source in zip(out, x):
        target.permute(1, 2, 0).flatten(0, 1).copy_(source.flatten(1).t())  # (HW, C) from (C, HW)
    return out


class _Contiguous(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return contiguous(x)

    @staticmethod
    def backward(ctx, grad):
        return grad


def to_contiguous(x: Tensor) -> Tensor:
    """``contiguous`` with gradients."""
    if torch.compiler.is_compiling() or x.is_contiguous():
        return x.contiguous()
    return _Contiguous.apply(x) if x.requires_grad and torch.is_grad_enabled() else contiguous(x)


def is_channels_last_on_cpu(x: Tensor) -> bool:
    """Whether the channels of a position lie side by side, and positions row by row."""
    return x.device.type == 'cpu' and x.is_contiguous(memory_format=torch.channels_last)
