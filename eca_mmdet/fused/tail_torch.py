"""The three passes of ``eca_residual`` over memory, in torch: the reference of ``tail_triton``."""

from typing import Optional, Tuple

import torch
from torch import Tensor


def scale_add_relu(z: Tensor, gate: Tensor, identity: Tensor, overwrite: bool) -> Tensor:
    """``relu(z * gate + identity)`` for a gate ``(N, C, 1, 1)``, in the memory of ``z`` if allowed."""
    out = torch.addcmul(identity, z, gate, out=z) if overwrite else torch.addcmul(identity, z, gate)
    return out.relu_()


def mask_and_sum(
    grad: Tensor, out: Tensor, kept: Tensor, gate: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
    """Return the gradient behind the ReLU, the sums of its product with ``z * gate``, and a free buffer.

    All tensors are in the memory format of ``out``. ``kept`` is ``z`` if there is a gate, else the
    identity, as ``z * gate = out - identity``. The sums ``(N, C)`` are in float32 or wider.
    """
    grad = torch.ops.aten.threshold_backward(grad, out, 0)
    buffer = out - kept if gate is None else kept * gate
    kind = torch.promote_types(grad.dtype, torch.float32)
    return grad, buffer.mul_(grad).sum((2, 3), dtype=kind), buffer


def scale_shift(grad: Tensor, gate: Tensor, shift: Tensor, buffer: Optional[Tensor]) -> Tensor:
    """``grad * gate + shift`` for a gate and a shift ``(N, C, 1, 1)``, in the buffer if there is one."""
    return torch.addcmul(shift, grad, gate, out=buffer)
