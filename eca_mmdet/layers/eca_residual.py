r"""The tail of a residual block, :math:`\mathrm{relu}(z \cdot \mathrm{gate}(z) + \mathrm{identity})`.

The gate is ECA's (arXiv 1910.03151, eq. 9). Left to autograd, this keeps ``z``, the product and
the sum. Where the output is positive, ``z * gate = output - identity``, so the gradient of the
gate's logit, :math:`\mathrm{gate} (1 - \mathrm{gate}) \sum g z`, is
:math:`(1 - \mathrm{gate}) \sum g (\mathrm{output} - \mathrm{identity})` with :math:`g` the gradient
behind the ReLU. The identity is kept by the block's first convolution anyway, so ``z`` need not
be, and the output takes its place in memory. In half precision the difference would lose digits,
and ``z`` is kept.
"""

from types import ModuleType
from typing import Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from . import tail_torch
from .conv_norm import asks_gradients, first_derivative
from .eca import ECALayer
from .layout import like


def eca_residual(
    z: Tensor, identity: Tensor, layer: ECALayer, overwrite: bool = False, triton: bool = False
) -> Tensor:
    """Compute ``relu(layer(z) + identity)``.

    Args:
        z: What attention looks at, ``(N, C, H, W)``.
        identity: What is added, of the same shape.
        layer: The attention; its kernel gets its gradient.
        overwrite: Whether ``z`` is the caller's own and no longer needed.
        triton: Whether to use the Triton kernels where they take such a tensor.
    """
    kernel = layer.conv.weight
    if torch.compiler.is_compiling():
        return torch.addcmul(identity, z, _gate(z, kernel)[0]).relu()
    if z.dtype != identity.dtype:
        z, identity = (t.to(torch.promote_types(z.dtype, identity.dtype)) for t in (z, identity))
    passes = _passes(z, triton)
    if asks_gradients(z, identity, layer):
        return _ECAResidual.apply(z, identity, kernel, overwrite, passes)
    with torch.no_grad():
        return passes.scale_add_relu(z, _gate(z, kernel)[0], like(identity, z), overwrite)


def _passes(z: Tensor, triton: bool) -> ModuleType:
    """The module that makes the passes over memory."""
    if triton:
        from . import tail_triton  # Triton is there with torch for CUDA only

        if tail_triton.takes(z):
            return tail_triton
    return tail_torch


def _gate(z: Tensor, kernel: Tensor) -> Tuple[Tensor, Tensor]:
    """Gate ``(N, C, 1, 1)`` in the type of ``z`` and descriptor ``(N, C)`` in the kernel's."""
    mean = z.mean((2, 3), dtype=kernel.dtype)
    return gate_of(mean, kernel).view(*mean.shape, 1, 1).to(z.dtype), mean


def gate_of(mean: Tensor, kernel: Tensor) -> Tensor:
    """Gate of the channels' means, both ``(N, C)``."""
    with torch.autocast(mean.device.type, enabled=False):
        return torch.mv(_windows(mean, kernel), kernel.view(-1)).sigmoid().view_as(mean)


def gate_gradients(of_logit: Tensor, mean: Tensor, kernel: Tensor) -> Tuple[Tensor, Tensor]:
    """Gradients of the kernel and of the means, from that of what the sigmoid takes, ``(N, C)``."""
    of_kernel = torch.mv(_windows(mean, kernel).t(), of_logit.flatten()).view_as(kernel)
    return of_kernel, torch.mv(_windows(of_logit, kernel), kernel.flatten().flip(0)).view_as(mean)


def _windows(rows: Tensor, kernel: Tensor) -> Tensor:
    """Neighbourhoods ``(N * C, k)`` of each channel of ``(N, C)``, for a convolution as a product.

    On a CPU that takes half the time of torch's ``conv1d``, forward and backward.
    """
    size = kernel.shape[-1]
    return F.pad(rows, (size // 2, size // 2)).unfold(1, size, 1).reshape(-1, size)


class _ECAResidual(torch.autograd.Function):
    @staticmethod
    def forward(ctx, z, identity, kernel, overwrite, passes):
        identity, ctx.passes = like(identity, z), passes
        gate, descriptor = _gate(z, kernel)
        ctx.keeps_z = z.dtype in (torch.float16, torch.bfloat16)
        overwrite = overwrite and not ctx.keeps_z
        out = passes.scale_add_relu(z, gate, identity, overwrite)
        if overwrite:
            ctx.mark_dirty(z)
        ctx.save_for_backward(z if ctx.keeps_z else identity, out, gate, descriptor, kernel)
        return out

    @staticmethod
    @first_derivative
    def backward(ctx, grad):
        kept, out, gate, descriptor, kernel = ctx.saved_tensors
        scales = gate if ctx.keeps_z else None
        grad, sums, buffer = ctx.passes.mask_and_sum(like(grad, out), out, kept, scales)
        of_logit = sums.to(kernel.dtype) * (1 - gate[:, :, 0, 0].to(kernel.dtype))
        of_kernel, of_descriptor = gate_gradients(of_logit, descriptor, kernel)
        of_mean = (of_descriptor / (grad.shape[2] * grad.shape[3])).view_as(gate).to(gate.dtype)
        return ctx.passes.scale_shift(grad, gate, of_mean, buffer), grad, of_kernel, None, None
