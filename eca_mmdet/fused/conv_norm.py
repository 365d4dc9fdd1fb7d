"""A convolution with the frozen batch norm behind it folded into its weight.

With running statistics a batch norm multiplies by ``scale = gamma / sqrt(var + eps)`` and adds
``shift = beta - mean * scale``, so ``norm(conv(x))`` is a convolution by ``weight * scale`` with bias
``shift`` (arXiv 2305.11624). The weight is folded in every call, so it is never out of date. Neither the
folded weight nor the convolution's output is kept for the backward pass.
"""

from functools import wraps
from typing import Any, Callable, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..layers.fast_conv import convolve
from .memory_format import match, memory_format_of
from .recognition import NORMS


def conv_norm(x: Tensor, conv: nn.Conv2d, norm: nn.Module, relu: bool = False) -> Tensor:
    """Compute ``norm(conv(x))`` for ``x`` ``(N, C, H, W)``, and the ReLU behind it if asked for."""
    if not can_fold(x, conv, norm):
        out = norm(convolve(x, conv))
        return F.relu(out, inplace=True) if relu else out
    affine = norm.weight, norm.bias, norm.running_mean, norm.running_var, norm.eps
    options = conv.stride, conv.padding, conv.dilation, conv.groups
    if x.dtype == torch.float32 and torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    return _ConvNorm.apply(x, conv.weight, *affine, options, relu)


def can_fold(x: Tensor, conv: nn.Conv2d, norm: nn.Module) -> bool:
    """Whether the norm is affine, and folding it into the weight is cheaper than running it.

    A weight of more than twice the output's size is not folded; the norm's own pass over the output is
    cheaper. That is 3 % of a ResNet-50's training step at 2 x 320 x 480 (AMD EPYC, Zen 5, 2 threads).
    """
    frozen = type(norm) in NORMS and not norm.training and norm.running_mean is not None and norm.affine
    (stride_y, stride_x), (batch, _, height, width) = conv.stride, x.shape
    positions = batch * (height // stride_y) * (width // stride_x)
    return frozen and conv.bias is None and conv.weight.numel() <= 2 * positions * conv.out_channels


def first_derivative(backward: Callable) -> Callable:
    """Make a ``backward`` refuse higher derivatives and batched gradients; run it without autocast."""

    @wraps(backward)
    def checked(ctx: Any, grad: Tensor) -> Any:
        if torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(grad):
            raise RuntimeError(
                'the fused forward pass has first derivatives only; build the backbone with fast=False '
                'for create_graph=True or is_grads_batched=True'
            )
        with torch.autocast(grad.device.type, enabled=False):
            return backward(ctx, grad)

    return checked


def _affine(gamma: Tensor, beta: Tensor, mean: Tensor, var: Tensor, eps: float) -> Tuple[Tensor, ...]:
    """Return scale, shift and inverse deviation, each ``(C,)`` in float32 or wider."""
    wide = torch.promote_types(var.dtype, torch.float32)
    inverse = torch.rsqrt(var.to(wide) + eps)
    scale = inverse * gamma
    return scale, torch.addcmul(beta.to(wide), mean.to(wide), scale, value=-1), inverse


def _fold(weight: Tensor, scale: Tensor, x: Tensor) -> Tensor:
    """Return ``weight * scale`` in the type and memory format of ``x``."""
    out = torch.empty_like(weight, dtype=scale.dtype, memory_format=memory_format_of(x))
    return torch.mul(weight, scale.view(-1, 1, 1, 1), out=out).to(x.dtype)


class _ConvNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x, weight, gamma, beta, mean, var, eps, options, relu) -> Tensor:
        scale, shift, inverse = _affine(gamma, beta, mean, var, eps)
        out = F.conv2d(x, _fold(weight, scale, x), shift.to(x.dtype), *options)
        out = out.relu_() if relu else out
        ctx.options, ctx.dtype = options, gamma.dtype
        ctx.save_for_backward(x, weight, scale, inverse, mean, out if relu else None)
        return out

    @staticmethod
    @first_derivative
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        x, weight, scale, inverse, mean, out = ctx.saved_tensors
        (stride, padding, dilation, groups), needs = ctx.options, ctx.needs_input_grad
        grad = match(grad, x)
        if out is not None:
            grad = torch.ops.aten.threshold_backward(grad, out, 0)
        asked = [needs[0], needs[1] or needs[2], False]
        grad_x, grad_folded, _ = torch.ops.aten.convolution_backward(
            *(grad, x, _fold(weight, scale, x), None),
            *(stride, padding, dilation, False, [0, 0], groups, asked),
        )
        grad_weight = grad_gamma = grad_beta = None
        if needs[2] or needs[3]:
            grad_shift = grad.sum((0, 2, 3), dtype=scale.dtype)
            grad_beta = grad_shift.to(ctx.dtype)
        if needs[2]:
            grad_scale = (grad_folded * weight).sum((1, 2, 3), dtype=scale.dtype)
            grad_gamma = (torch.addcmul(grad_scale, grad_shift, mean, value=-1) * inverse).to(ctx.dtype)
        if needs[1]:
            # In the strides of the weight, as DistributedDataParallel wants it.
            grad_weight = torch.mul(grad_folded, scale.view(-1, 1, 1, 1), out=torch.empty_like(weight))
        return (grad_x, grad_weight, grad_gamma, grad_beta, *[None] * 5)
