r"""The end of a bottleneck with its last convolution, :math:`\mathrm{relu}(a z + \mathrm{identity})`.

:math:`z = W x + t` is that convolution, 1x1 with the frozen norm folded in, and :math:`a` is ECA's
gate of :math:`z` (arXiv 1910.03151, eq. 9). As :math:`z` is linear in :math:`x` at every position,
sums of it over positions are had without it:

* its mean is :math:`W \bar x + t`, so that the gate is known before :math:`z`;
* with :math:`g` the gradient behind the ReLU, the gate's gradient :math:`\sum g z` is the row sums of
  :math:`W \cdot \sum g x^T`, and :math:`t \sum g`. The weight's gradient needs :math:`\sum g x^T` anyway.

So a training step keeps neither :math:`z` nor the identity, and beside the products its backward pass
reads :math:`g` twice.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .conv_norm import (
    asks_gradients,
    compute_dtype,
    convolution_backward,
    dots,
    first_derivative,
    parameter_gradients,
)
from .eca import ECALayer
from .eca_residual import gate_gradients, gate_of
from .folding import affine, convolve, folded, has_fused_kernels, is_foldable, is_packed
from .layout import is_channels_last_on_cpu, like

_OPTIONS = (1, 1), (0, 0), (1, 1), 1  # stride, padding, dilation and groups of the convolution


def gate_folds(
    x: Tensor, conv: nn.Module, norm: nn.Module, layer: ECALayer, identity: Tensor, own: bool
) -> bool:
    """Whether ``conv_eca_residual`` can compute the end of a block, and in less time.

    Its passes over the weight, some for each image, pay where an image has many positions.
    """
    options = conv.kernel_size, conv.stride, conv.padding, conv.dilation, conv.groups
    if (
        torch.compiler.is_compiling()
        or not is_foldable(conv, norm)
        or options != ((1, 1), *_OPTIONS)
        or not x.dtype == identity.dtype == compute_dtype(x)
        or not (is_channels_last_on_cpu(x) and is_channels_last_on_cpu(identity))
    ):
        return False
    positions, channels = x.shape[2] * x.shape[3], x.shape[1]
    if asks_gradients(x, conv, norm, layer, identity):
        return positions >= 2 * channels and x.dtype != torch.float16  # sums of products overflow there
    return (
        own
        and not identity.requires_grad
        and x.dtype == torch.float32
        and positions >= 16 * channels
        and has_fused_kernels(x)
        and not is_packed(conv, x)
    )


def conv_eca_residual(
    x: Tensor, conv: nn.Module, norm: nn.Module, layer: ECALayer, identity: Tensor
) -> Tensor:
    """Compute ``relu(layer(norm(conv(x))) + identity)``, where ``gate_folds`` allows it.

    Args:
        x: Input of the convolution, ``(N, C_in, H, W)``.
        conv: The block's last convolution, 1x1.
        norm: Its frozen norm.
        layer: The attention.
        identity: What is added, ``(N, C, H, W)``; overwritten where nothing asks for a gradient.
    """
    kernel = layer.conv.weight
    if asks_gradients(x, conv, norm, layer, identity):
        parameters = conv.weight, conv.bias, norm.weight, norm.bias
        return _ConvECAResidual.apply(x, *parameters, identity, kernel, conv, norm)
    return _in_identity(x, *folded(conv, norm, x), identity, kernel)


@torch.no_grad()
def _in_identity(x: Tensor, weight: Tensor, bias: Tensor, identity: Tensor, kernel: Tensor) -> Tensor:
    """The gate goes into the weight of each image, and one pass of oneDNN does the rest."""
    gates = gate_of(F.linear(x.mean((2, 3)), weight.flatten(1), bias), kernel)
    stride, padding, dilation, groups = _OPTIONS
    for image, target, gate in zip(x.split(1), identity.split(1), gates):
        scaled = weight * gate.view(-1, 1, 1, 1), bias * gate
        torch.ops.mkldnn._convolution_pointwise_.binary(
            target, image, *scaled, padding, stride, dilation, groups, 'add', 1.0, 'relu', [], None
        )
    return identity


class _ConvECAResidual(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, gamma, beta, identity, kernel, conv, norm):
        ctx.mean, ctx.inverse, scale, shift = affine(conv, norm)
        matrix = weight.flatten(1) * scale.unsqueeze(1)
        average = x.mean((2, 3), dtype=weight.dtype)
        with torch.autocast('cpu', enabled=False):
            descriptor = torch.addmm(shift, average, matrix.t())
        gate = gate_of(descriptor, kernel)
        z = convolve(x, matrix.to(x.dtype).view_as(weight), shift.to(x.dtype), _OPTIONS, False)
        out = torch.addcmul(identity, z, gate.to(z.dtype)[:, :, None, None], out=z).relu_()
        ctx.save_for_backward(x, weight, kernel, scale, shift, average, descriptor, gate, out)
        return out

    @staticmethod
    @first_derivative
    def backward(ctx, grad):
        x, weight, kernel, scale, shift, average, descriptor, gate, out = ctx.saved_tensors
        needs_x, needs_weight, _, needs_gamma, _ = ctx.needs_input_grad[:5]
        grad = torch.ops.aten.threshold_backward(like(grad, out), out, 0)  # also the identity's
        matrix = weight.flatten(1) * scale.unsqueeze(1)
        products = grad.new_empty(len(x), *matrix.shape)
        for product, g, image in zip(products, grad, x):
            torch.mm(g.flatten(1), image.flatten(1).t(), out=product)
        products, sums = products.to(weight.dtype), grad.sum((2, 3), dtype=weight.dtype)
        of_logit = torch.addcmul((matrix * products).sum(2), shift, sums) * gate * (1 - gate)
        of_kernel, of_descriptor = gate_gradients(of_logit, descriptor, kernel)
        # The gradient of z is grad * gate + of_descriptor / positions; its sums follow from those above.
        of_x = of_weight = of_scale = None
        if needs_x:
            of_mean = of_descriptor / (x.shape[2] * x.shape[3])
            of_mean, scales = (t.to(x.dtype)[:, :, None, None] for t in (of_mean, gate))
            of_z, aligned = torch.addcmul(of_mean, grad, scales), matrix.to(x.dtype).view_as(weight)
            of_x, _ = convolution_backward(of_z, x, aligned, _OPTIONS, True, False)
        of_matrix = (products * gate.unsqueeze(2)).sum(0).addmm_(of_descriptor.t(), average)
        of_shift = torch.addcmul(of_descriptor, gate, sums).sum(0)
        of_folded = of_matrix.view_as(weight)
        if needs_weight:
            of_weight = torch.mul(of_folded, scale.view(-1, 1, 1, 1), out=torch.empty_like(weight))
        if needs_gamma:
            of_scale = dots(weight, of_folded)
        of_norm = parameter_gradients(ctx, scale, of_scale, of_shift)
        return of_x, of_weight, *of_norm, grad, of_kernel, None, None
