r"""The tail of a residual block, :math:`\mathrm{relu}(z \cdot \mathrm{gate}(z) + \mathrm{identity})`.

The gate is ECA's (arXiv 1910.03151, eq. 9). Only the output and the identity are saved for the backward
pass: where the output is positive, ``z * gate = output - identity``, and elsewhere the gradient before the
ReLU is 0. In half precision this difference would lose digits, so ``z`` is saved instead of the identity.
"""

from types import ModuleType
from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..layers.eca import ECALayer
from . import tail_torch
from .conv_norm import first_derivatives_only, match_memory_format


def eca_residual(
    z: Tensor, identity: Tensor, layer: ECALayer, overwrite: bool = False, triton: bool = False
) -> Tensor:
    """Compute ``relu(layer(z) + identity)`` of ``(N, C, H, W)``; ``overwrite`` allows to write to ``z``."""
    if z.dtype != identity.dtype:
        dtype = torch.promote_types(z.dtype, identity.dtype)
        z, identity = z.to(dtype), identity.to(dtype)
    tail: ModuleType = tail_torch
    if triton:
        from . import tail_triton  # only builds of torch for CUDA come with Triton

        if tail_triton.is_supported(z):
            tail = tail_triton
    return _ECAResidual.apply(z, identity, layer.conv.weight, overwrite, tail)


def _gate(z: Tensor, weight: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the gate ``(N, C, 1, 1)`` in the dtype of ``z`` and the means ``(N, C)`` in the weight's."""
    mean = z.mean((2, 3), dtype=weight.dtype)
    with torch.autocast(mean.device.type, enabled=False):
        gate = torch.mv(_neighbourhoods(mean, weight), weight.view(-1)).sigmoid()
    return gate.view(*mean.shape, 1, 1).to(z.dtype), mean


def _neighbourhoods(rows: Tensor, weight: Tensor) -> Tensor:
    """Return the ``k`` neighbours of each channel of ``(N, C)`` as rows ``(N * C, k)``.

    A product with these rows replaces torch's ``conv1d``. On a CPU, ``conv1d`` takes a twelfth of a
    ResNet-50's training step at 2 x 320 x 480 (AMD EPYC, Zen 5); the time of the product is negligible.
    """
    size = weight.shape[-1]
    return F.pad(rows, (size // 2, size // 2)).unfold(1, size, 1).reshape(-1, size)


class _ECAResidual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z, identity, weight, overwrite, tail) -> Tensor:
        identity, ctx.tail = match_memory_format(identity, z), tail
        gate, mean = _gate(z, weight)
        ctx.saves_z = z.dtype in (torch.float16, torch.bfloat16)
        overwrite = overwrite and not ctx.saves_z
        out = tail.scale_add_relu(z, gate, identity, overwrite)
        if overwrite:
            ctx.mark_dirty(z)
        ctx.save_for_backward(z if ctx.saves_z else identity, out, gate, mean, weight)
        return out

    @staticmethod
    @first_derivatives_only
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        saved, out, gate, mean, weight = ctx.saved_tensors
        grad = match_memory_format(grad, out)
        grad_identity, sums, buffer = ctx.tail.mask_and_sum(grad, out, saved, gate if ctx.saves_z else None)
        grad_logit = sums.to(weight.dtype) * (1 - gate[:, :, 0, 0].to(weight.dtype))
        grad_weight = torch.mv(_neighbourhoods(mean, weight).t(), grad_logit.flatten()).view_as(weight)
        grad_mean = torch.mv(_neighbourhoods(grad_logit, weight), weight.flatten().flip(0))
        shift = (grad_mean / (grad.shape[2] * grad.shape[3])).view_as(gate).to(gate.dtype)
        grad_z = ctx.tail.scale_shift(grad_identity, gate, shift, buffer)
        return grad_z, grad_identity, grad_weight, None, None
