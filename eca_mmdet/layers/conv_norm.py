"""A convolution and the batch norm behind it as one convolution, where the norm is frozen.

With running statistics the norm is affine, :math:`s (y - \\mu) + \\beta` with
:math:`s = \\gamma / \\sqrt{\\sigma^2 + \\epsilon}`, so that norm and convolution are the
convolution by :math:`s W` with bias :math:`\\beta - s \\mu` (arXiv 2305.11624). mmengine's
``efficient_conv_bn_eval`` states the same; this one also takes the ReLU, keeps neither the
scaled weight nor the convolution's output for the backward pass, and folds once where no
gradient is asked for.
"""

from functools import wraps
from typing import Callable, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .folding import Folded, affine, convolve, is_foldable
from .layout import like, sum_positions, to_contiguous


def first_derivative(backward: Callable) -> Callable:
    """Refuse ``create_graph=True``, which torch's ``once_differentiable`` may pass over in silence."""

    @wraps(backward)
    def checked(ctx, *grads):
        if torch.is_grad_enabled():
            raise RuntimeError(
                'the fused forward pass has first derivatives only; build the backbone with fast=False '
                'for create_graph=True'
            )
        return backward(ctx, *grads)

    return checked


class _ConvNorm(torch.autograd.Function):
    """``relu(norm(conv(x)))``, which keeps ``x``, the weight and the ReLU's output.

    The norm's scale goes to the smaller tensor, the weight or the output.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, gamma, beta, conv, norm, relu):
        ctx.inverse, scale, shift = affine(conv, norm)
        column, lower = scale.view(-1, 1, 1, 1), weight.to(x.dtype)
        ctx.options = options = conv.stride, conv.padding, conv.dilation, conv.groups
        ctx.scales_weight = _scales_weight(x, weight, options)
        if ctx.scales_weight:
            out = convolve(x, (weight * column).to(x.dtype), shift.to(x.dtype), options, relu)
        else:
            out = convolve(x, lower, None, options, False)
            factor, shift = (t.view(1, -1, 1, 1).to(x.dtype) for t in (scale, shift))
            torch.addcmul(shift, out, factor, out=out)
            out = out.relu_() if relu else out
        ctx.mean = norm.running_mean if bias is None else norm.running_mean - bias
        ctx.save_for_backward(x, weight, scale, out if relu else None)
        return out

    @staticmethod
    @first_derivative
    def backward(ctx, grad):
        x, weight, scale, out = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, needs_gamma, needs_beta = ctx.needs_input_grad[:5]
        needs_shift = needs_bias or needs_gamma or needs_beta
        column, needs_folded = scale.view(-1, 1, 1, 1), needs_weight or needs_gamma
        if out is not None:
            grad = torch.ops.aten.threshold_backward(like(grad, out), out, 0)
        folded = (weight * column if ctx.scales_weight else weight).to(x.dtype)
        scaled = grad if ctx.scales_weight else grad * scale.view(1, -1, 1, 1).to(grad.dtype)
        of_x = of_folded = None
        if needs_x and needs_folded and scaled is grad and not _is_product(x, weight, ctx.options):
            of_x, of_folded = _convolution_backward(grad, x, folded, ctx.options, True, True)
        else:
            if needs_folded:
                of_folded = _weight_gradient(grad, x, folded, ctx.options)
            if needs_x:
                of_x, _ = _convolution_backward(scaled, x, folded, ctx.options, True, False)
        of_weight = of_gamma = of_shift = None
        if needs_folded:
            of_folded = of_folded.to(weight.dtype)
            if weight.is_contiguous():  # 1x1 kernels come with other strides, which DDP would copy
                of_folded = of_folded.contiguous().view(-1).view_as(weight)
        if needs_shift:
            of_shift = sum_positions(grad, scale.dtype).sum(0)
        if needs_gamma:
            of_scale = torch.linalg.vecdot(of_folded.reshape(len(scale), -1), weight.reshape(len(scale), -1))
            of_gamma = torch.addcmul(of_scale, of_shift, ctx.mean, value=-1).mul_(ctx.inverse)
        if needs_weight:
            of_weight = of_folded.mul_(column)
        return (
            of_x,
            of_weight,
            of_shift * scale if needs_bias else None,
            of_gamma,
            of_shift if needs_beta else None,
            None,
            None,
            None,
        )


def _scales_weight(x: Tensor, weight: Tensor, options: Tuple) -> bool:
    stride = options[0]
    positions = x.shape[0] * (x.shape[2] // stride[0]) * (x.shape[3] // stride[1])
    return weight.numel() <= positions * len(weight)


def _convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, options: Tuple, needs_x: bool, needs_weight: bool
) -> Tuple:
    stride, padding, dilation, groups = options
    # Not the bias's: oneDNN takes longer for that sum than torch.
    return torch.ops.aten.convolution_backward(
        grad,
        x,
        weight,
        None,
        stride,
        padding,
        dilation,
        False,
        [0, 0],
        groups,
        [needs_x, needs_weight, False],
    )[:2]


def _is_product(x: Tensor, weight: Tensor, options: Tuple) -> bool:
    """Whether the weight's gradient is a matrix product of rows of channels."""
    _, padding, _, groups = options
    rows = x.device.type == 'cpu' and x.is_contiguous(memory_format=torch.channels_last)
    return rows and groups == 1 and weight.shape[2:] == (1, 1) and not any(padding)


def _weight_gradient(grad: Tensor, x: Tensor, weight: Tensor, options: Tuple) -> Tensor:
    if not _is_product(x, weight, options):
        return _convolution_backward(grad, x, weight, options, False, True)[1]
    stride = options[0]
    rows, grad_rows = (
        t.permute(0, 2, 3, 1).reshape(-1, t.shape[1]) for t in (x[:, :, :: stride[0], :: stride[1]], grad)
    )
    return (grad_rows.t() @ rows).view(weight.shape)  # faster than oneDNN's, above all with strides


def compute_dtype(x: Tensor) -> torch.dtype:
    """The type in which a convolution of ``x`` computes: autocast's inside its region."""
    kind = x.device.type
    enabled = torch.is_autocast_enabled(kind) and x.is_floating_point() and x.dtype != torch.float64
    return torch.get_autocast_dtype(kind) if enabled else x.dtype


def conv_norm(x: Tensor, conv: nn.Module, norm: nn.Module, relu: bool = False) -> Tensor:
    """Compute ``norm(conv(x))``, and the ReLU behind it, in as few passes as the two allow.

    Args:
        x: Input ``(N, C, H, W)``.
        conv: The convolution; its parameters and the norm's get their gradients.
        norm: The norm; with running statistics it is folded, otherwise both run as they are.
        relu: Whether a ReLU follows.
    """
    if not is_foldable(conv, norm):
        # mmcv's operators read any memory as if it were contiguous
        out = norm(conv(x if type(conv) is nn.Conv2d else to_contiguous(x)))
        return F.relu(out, inplace=True) if relu else out
    x = x.to(compute_dtype(x))
    options = conv.stride, conv.padding, conv.dilation, conv.groups
    if torch.compiler.is_compiling():
        _, scale, shift = affine(conv, norm)
        weight = (conv.weight * scale.view(-1, 1, 1, 1)).to(x.dtype)
        out = F.conv2d(x, weight, shift.to(x.dtype), *options)
        return out.relu() if relu else out
    if asks_gradients(x, conv, norm):
        return _ConvNorm.apply(x, conv.weight, conv.bias, norm.weight, norm.bias, conv, norm, relu)
    weight, bias = vars(conv).setdefault('_folded', Folded()).get(conv, norm, x)
    with torch.no_grad():
        return convolve(x, weight, bias, options, relu)


def asks_gradients(x: Tensor, *modules: nn.Module) -> bool:
    """Whether autograd must record what the modules do to ``x``."""
    return torch.is_grad_enabled() and (
        x.requires_grad or any(p.requires_grad for module in modules for p in module.parameters())
    )
