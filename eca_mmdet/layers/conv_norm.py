"""A convolution and the batch norm behind it as one convolution, where the norm is frozen.

With running statistics the norm is affine, :math:`s (y - \\mu) + \\beta` with
:math:`s = \\gamma / \\sqrt{\\sigma^2 + \\epsilon}`, so that norm and convolution are the
convolution by :math:`s W` with bias :math:`\\beta - s \\mu` (arXiv 2305.11624). mmengine's
``efficient_conv_bn_eval`` states the same; this one also takes the ReLU, keeps neither the
scaled weight nor the convolution's output for the backward pass, and folds once where no
gradient is asked for.
"""

from functools import wraps
from itertools import chain
from typing import Any, Callable, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .folding import affine, convolve, folded, is_foldable
from .layout import is_channels_last_on_cpu, like, to_contiguous


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
    """``relu(norm(conv(x)))``, which keeps ``x`` or its copy, the weight and the ReLU's output.

    The norm's scale goes to the smaller tensor, the weight or the convolution's output. Then
    gamma's gradient takes that output as well, or where it is large the weight's gradient.
    """

    @staticmethod
    def forward(ctx, x, weight, bias, gamma, beta, conv, norm, relu, copy):
        ctx.mean, ctx.inverse, scale, shift = affine(conv, norm)
        ctx.options = options = conv.stride, conv.padding, conv.dilation, conv.groups
        ctx.scales_weight = _scales_weight(x, weight, options)
        if ctx.scales_weight:
            scaled, y = torch.empty_like(weight, memory_format=_layout(x)), None
            torch.mul(weight, scale.view(-1, 1, 1, 1), out=scaled)
            out = convolve(x, scaled.to(x.dtype), shift.to(x.dtype), options, relu)
        else:
            y = convolve(x, weight.to(x.dtype), None, options, False)
            out = torch.addcmul(*(t.view(1, -1, 1, 1).to(x.dtype) for t in (shift, scale)), y)
            out = out.relu_() if relu else out
        if y is not None:
            _, needs_weight, _, needs_gamma = ctx.needs_input_grad[:4]
            y = y if needs_gamma and not (needs_weight and _divides(scale, y, weight)) else None
        ctx.save_for_backward(x if copy is None else copy, weight, scale, y, out if relu else None)
        return out

    @staticmethod
    @first_derivative
    def backward(ctx, grad):
        x, weight, scale, y, out = ctx.saved_tensors
        needs_x, needs_weight, needs_bias, needs_gamma, needs_beta = ctx.needs_input_grad[:5]
        if out is not None:
            grad = torch.ops.aten.threshold_backward(like(grad, out), out, 0)
        of_scale = None
        layout, column = _layout(grad), scale.view(-1, 1, 1, 1)
        if ctx.scales_weight:
            aligned, asked = weight.contiguous(memory_format=layout), (needs_x, needs_weight or needs_gamma)
            scaled = (aligned * column).to(x.dtype)
            of_x, of_scaled = convolution_backward(grad, x, scaled, ctx.options, *asked)
            if needs_gamma:
                of_scale = dots(aligned, of_scaled.to(weight.dtype))
            of_weight = torch.mul(of_scaled, column, out=torch.empty_like(weight)) if needs_weight else None
        else:
            scaled, asked = grad * scale.view(1, -1, 1, 1).to(grad.dtype), (needs_x, needs_weight)
            of_x, of_weight = convolution_backward(
                scaled, x, weight.contiguous(memory_format=layout).to(x.dtype), ctx.options, *asked
            )
            of_weight = _strided_like(of_weight, weight) if needs_weight else None
            if needs_gamma and y is None:
                of_scale = dots(weight, of_weight) / scale
            elif needs_gamma:
                of_scale = (grad * y).sum((0, 2, 3), dtype=scale.dtype)
        of_shift = grad.sum((0, 2, 3), dtype=scale.dtype) if needs_bias or needs_gamma or needs_beta else None
        of_norm = parameter_gradients(ctx, scale, of_scale, of_shift)
        return of_x, of_weight, *of_norm, None, None, None, None


def parameter_gradients(
    ctx: Any, scale: Tensor, of_scale: Optional[Tensor], of_shift: Optional[Tensor]
) -> Tuple[Optional[Tensor], ...]:
    """Gradients of the convolution's bias, gamma and beta, those that are needed.

    Args:
        ctx: Of a function of input, weight, bias, gamma, beta and more; has mean and inverse deviation.
        scale: The folded norm's scale ``(C,)``.
        of_scale: Its gradient.
        of_shift: The gradient of the folded norm's shift.
    """
    needs_bias, needs_gamma, needs_beta = ctx.needs_input_grad[2:5]
    of_gamma = None
    if needs_gamma:
        of_gamma = torch.addcmul(of_scale, of_shift, ctx.mean, value=-1).mul_(ctx.inverse)
    return of_shift * scale if needs_bias else None, of_gamma, of_shift if needs_beta else None


def _divides(scale: Tensor, y: Tensor, weight: Tensor) -> bool:
    """Whether gamma's gradient is the weight's, which contains the scale, divided by it.

    Then the convolution's output ``y`` need not be kept. It takes a look at the scale (on CUDA it
    would wait for it) and a pass over the weight, which pays where the weight is not far larger.
    """
    if scale.device.type != 'cpu' or weight.numel() > 4 * y.numel():
        return False
    return bool(scale.abs().amin() > torch.finfo(scale.dtype).eps)


def _scales_weight(x: Tensor, weight: Tensor, options: Tuple) -> bool:
    stride = options[0]
    positions = x.shape[0] * (x.shape[2] // stride[0]) * (x.shape[3] // stride[1])
    return weight.numel() <= positions * len(weight)


def _layout(x: Tensor) -> torch.memory_format:
    """The layout in which a convolution of ``x`` takes a weight without a copy."""
    last = x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def _strided_like(grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient in the weight's type and strides, which DDP wants."""
    if grad.dtype == weight.dtype and grad.is_contiguous() and weight.is_contiguous():
        return grad.as_strided(weight.shape, weight.stride())  # those of a 1x1 kernel may differ
    return torch.empty_like(weight).copy_(grad)


def dots(a: Tensor, b: Tensor) -> Tensor:
    """The dot product of two weights for each output channel, in the memory order of the first."""
    order = (0, 1, 2, 3) if a.is_contiguous() else (0, 2, 3, 1)
    rows = max(1, 2**18 // a[0].numel())  # vecdot writes the products down
    slabs = zip(*(t.permute(order).flatten(1).split(rows) for t in (a, b)))
    return torch.cat([torch.linalg.vecdot(*slab) for slab in slabs])


def convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, options: Tuple, needs_x: bool, needs_weight: bool
) -> Tuple[Optional[Tensor], Optional[Tensor]]:
    """Gradients of a convolution's input and of its weight, those that are needed."""
    stride, padding, dilation, groups = options
    shape, of_x, of_weight = weight.shape, None, None
    product = needs_weight and _is_product(grad, x, shape, options)
    asked = [needs_x, needs_weight and not product, False]  # the bias's is slow in oneDNN
    if any(asked):
        of_x, of_weight, _ = torch.ops.aten.convolution_backward(
            grad, like(x, grad), weight, None, stride, padding, dilation, False, [0, 0], groups, asked
        )
    del weight  # perhaps the only reference to a large copy
    return of_x, _weight_product(grad, x, shape, options) if product else of_weight


def _is_product(grad: Tensor, x: Tensor, shape: torch.Size, options: Tuple) -> bool:
    """Whether the weight's gradient is faster as a matrix product than in oneDNN.

    That is where there are few positions, and for 1x1 kernels in bfloat16 or where ``x`` is in
    the order (N, C, H, W).
    """
    stride, padding, dilation, groups = options
    if groups > 1 or not is_channels_last_on_cpu(grad):
        return False
    single, last = shape[2:] == (1, 1) and not any(padding), is_channels_last_on_cpu(x)
    few = last and grad.numel() // grad.shape[1] <= min(shape[:2])
    return few or (single and (not last or x.dtype == torch.bfloat16))


def _weight_product(grad: Tensor, x: Tensor, shape: torch.Size, options: Tuple) -> Tensor:
    """The weight's gradient of that ``shape`` as a matrix product."""
    stride, padding, dilation, _ = options
    if shape[2:] != (1, 1) or any(padding):
        rows = F.unfold(x, shape[2:], dilation, padding, stride)  # (N, C * k * k, positions)
        rows = rows.transpose(0, 1).flatten(1).t()
    elif is_channels_last_on_cpu(x):
        rows = x[:, :, :: stride[0], :: stride[1]].permute(0, 2, 3, 1).flatten(0, 2)
    else:
        images = zip(grad, x[:, :, :: stride[0], :: stride[1]])
        return sum(g.flatten(1) @ image.flatten(1).t() for g, image in images).view(shape)
    return (grad.permute(0, 2, 3, 1).flatten(0, 2).t() @ rows).view(shape)


def compute_dtype(x: Tensor) -> torch.dtype:
    """The type in which a convolution of ``x`` computes: autocast's inside its region."""
    kind = x.device.type
    enabled = torch.is_autocast_enabled(kind) and x.is_floating_point() and x.dtype != torch.float64
    return torch.get_autocast_dtype(kind) if enabled else x.dtype


def conv_norm(
    x: Tensor, conv: nn.Module, norm: nn.Module, relu: bool = False, copy: Optional[Tensor] = None
) -> Tensor:
    """Compute ``norm(conv(x))``, and the ReLU behind it, in as few passes as the two allow.

    Args:
        x: Input ``(N, C, H, W)``.
        conv: The convolution; its parameters and the norm's get their gradients.
        norm: The norm; with running statistics it is folded, otherwise both run as they are.
        relu: Whether a ReLU follows.
        copy: Another copy of ``x`` that the caller keeps anyway: where ``x`` has no gradient, the
            backward pass keeps it in its place.
    """
    if not is_foldable(conv, norm):
        # mmcv's operators read any memory as if it were contiguous
        out = norm(conv(x if type(conv) is nn.Conv2d else to_contiguous(x)))
        return F.relu(out, inplace=True) if relu else out
    x = x.to(compute_dtype(x))
    options = conv.stride, conv.padding, conv.dilation, conv.groups
    if torch.compiler.is_compiling():
        *_, scale, shift = affine(conv, norm)
        weight = (conv.weight * scale.view(-1, 1, 1, 1)).to(x.dtype)
        out = F.conv2d(x, weight, shift.to(x.dtype), *options)
        return out.relu() if relu else out
    if asks_gradients(x, conv, norm):
        copy = copy if copy is not None and copy.dtype == x.dtype and not x.requires_grad else None
        return _ConvNorm.apply(x, conv.weight, conv.bias, norm.weight, norm.bias, conv, norm, relu, copy)
    weight, bias = folded(conv, norm, x)
    with torch.no_grad():
        return convolve(x, weight, bias, options, relu)


def asks_gradients(*parts: Union[Tensor, nn.Module]) -> bool:
    """Whether autograd must record what is done with these tensors and modules."""
    tensors = ([part] if isinstance(part, Tensor) else part.parameters() for part in parts)
    return torch.is_grad_enabled() and any(t.requires_grad for t in chain.from_iterable(tensors))
