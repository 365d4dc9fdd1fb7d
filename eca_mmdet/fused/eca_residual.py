r"""The tail of a residual block, :math:`\mathrm{relu}(z \cdot \mathrm{gate}(z) + \mathrm{identity})`.

The gate is ECA's (arXiv 1910.03151, eq. 9). Left to autograd, this keeps ``z``, the product and the
sum. Where the output is positive, ``z * gate = output - identity``. So the gradient of the gate's logit,
:math:`\mathrm{gate} (1 - \mathrm{gate}) \sum g z`, equals
:math:`(1 - \mathrm{gate}) \sum g (\mathrm{output} - \mathrm{identity})`, with :math:`g` the gradient
behind the ReLU. The block's first convolution keeps the identity anyway, so ``z`` is not kept, and the
output overwrites it. In half precision the difference would lose digits, and ``z`` is kept.
"""

from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ..layers.eca import ECALayer
from . import tail_torch
from .conv_norm import first_derivative
from .memory_format import match


def eca_residual(
    z: Tensor, identity: Tensor, layer: ECALayer, overwrite: bool = False, triton: bool = False
) -> Tensor:
    """Compute ``relu(layer(z) + identity)``.

    ``z`` and the identity are ``(N, C, H, W)``. ``overwrite`` says that ``z`` is safe to overwrite in
    place, ``triton`` that the Triton kernels run where they take such a tensor.
    """
    kernel = layer.conv.weight
    if z.dtype != identity.dtype:
        z, identity = (t.to(torch.promote_types(z.dtype, identity.dtype)) for t in (z, identity))
    passes = tail_torch
    if triton:
        from . import tail_triton  # Triton is there with torch for CUDA only

        passes = tail_triton if tail_triton.takes(z) else tail_torch
    return _ECAResidual.apply(z, identity, kernel, overwrite, passes)


def _gate(z: Tensor, kernel: Tensor) -> Tuple[Tensor, Tensor]:
    """Return the gate ``(N, C, 1, 1)`` in the type of ``z`` and the means ``(N, C)`` in the kernel's."""
    mean = z.mean((2, 3), dtype=kernel.dtype)
    with torch.autocast(mean.device.type, enabled=False):
        gate = torch.mv(_windows(mean, kernel), kernel.view(-1)).sigmoid()
    return gate.view(*mean.shape, 1, 1).to(z.dtype), mean


def _windows(rows: Tensor, kernel: Tensor) -> Tensor:
    """Return the neighbourhoods ``(N * C, k)`` of each channel of ``(N, C)``.

    torch's ``conv1d`` on a CPU takes a twelfth of a ResNet-50's training step at 2 x 320 x 480 (AMD
    EPYC, Zen 5); this product takes next to nothing.
    """
    size = kernel.shape[-1]
    return F.pad(rows, (size // 2, size // 2)).unfold(1, size, 1).reshape(-1, size)


class _ECAResidual(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z, identity, kernel, overwrite, passes) -> Tensor:
        identity, ctx.passes = match(identity, z), passes
        gate, mean = _gate(z, kernel)
        ctx.keeps_z = z.dtype in (torch.float16, torch.bfloat16)
        overwrite = overwrite and not ctx.keeps_z
        out = passes.scale_add_relu(z, gate, identity, overwrite)
        if overwrite:
            ctx.mark_dirty(z)
        ctx.save_for_backward(z if ctx.keeps_z else identity, out, gate, mean, kernel)
        return out

    @staticmethod
    @first_derivative
    def backward(ctx: Any, grad: Tensor) -> Tuple[Optional[Tensor], ...]:
        kept, out, gate, mean, kernel = ctx.saved_tensors
        scales = gate if ctx.keeps_z else None
        grad, sums, buffer = ctx.passes.mask_and_sum(match(grad, out), out, kept, scales)
        grad_logit = sums.to(kernel.dtype) * (1 - gate[:, :, 0, 0].to(kernel.dtype))
        grad_kernel = torch.mv(_windows(mean, kernel).t(), grad_logit.flatten()).view_as(kernel)
        grad_mean = torch.mv(_windows(grad_logit, kernel), kernel.flatten().flip(0))
        shift = (grad_mean / (grad.shape[2] * grad.shape[3])).view_as(gate).to(gate.dtype)
        return ctx.passes.scale_shift(grad, gate, shift, buffer), grad, grad_kernel, None, None
