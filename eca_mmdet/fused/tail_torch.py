"""The full-size operations of ``eca_residual`` in torch: the reference for those in ``tail_triton``."""

from typing import Optional, Tuple

import torch
from torch import Tensor


def scale_add_relu(z: Tensor, gate: Tensor, identity: Tensor, overwrite: bool) -> Tensor:
    """Compute ``relu(z * gate + identity)`` for a gate ``(N, C, 1, 1)``; ``overwrite`` writes to ``z``."""
    out = torch.addcmul(identity, z, gate, out=z) if overwrite else torch.addcmul(identity, z, gate)
    return out.relu_()


def mask_and_sum(
    grad: Tensor, out: Tensor, saved: Tensor, gate: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
    """Compute the backward pass of the ReLU, and the spatial sums that the gate's gradient needs.

    ``saved`` is ``z`` if ``gate`` is given, else the identity: ``z * gate = out - identity``.

    Returns:
        The gradient before the ReLU; its product with ``z * gate`` summed over positions ``(N, C)``, in
        float32 or float64; and a tensor that ``scale_shift`` can overwrite, or ``None``.
    """
    grad = torch.ops.aten.threshold_backward(grad, out, 0)
    buffer = out - saved if gate is None else saved * gate
    dtype = torch.promote_types(grad.dtype, torch.float32)
    return grad, buffer.mul_(grad).sum((2, 3), dtype=dtype), buffer


def scale_shift(grad: Tensor, gate: Tensor, shift: Tensor, buffer: Optional[Tensor]) -> Tensor:
    """Compute ``grad * gate + shift`` for a gate and a shift ``(N, C, 1, 1)``, in ``buffer`` if given."""
    return torch.addcmul(shift, grad, gate, out=buffer)
