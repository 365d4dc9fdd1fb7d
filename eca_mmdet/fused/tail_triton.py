"""The passes of ``tail_torch`` as Triton kernels, one kernel each; for CUDA.

Values are computed in float32 or wider, whatever type they are kept in. A program takes a tile of
channels and positions of one image, long on the side that is contiguous in memory.
"""

import os
from typing import Any, Dict, Optional, Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor

_STEPS = 8  # tiles that one program sums over


def takes(x: Tensor) -> bool:
    """Whether the kernels can read the tensor; Triton's interpreter reads those of the CPU."""
    here = x.is_cuda or os.environ.get('TRITON_INTERPRET') == '1'
    return here and (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last))


@triton.jit
def _tile(
    channels, positions, of_channel, of_position, first_position, WIDE: tl.constexpr, LONG: tl.constexpr
):
    """Channels ``(WIDE,)``, elements ``(WIDE, LONG)`` of this program and which of them exist."""
    channel = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    position = first_position + tl.arange(0, LONG)
    image = tl.program_id(0).to(tl.int64) * channels * positions
    elements = image + channel[:, None] * of_channel + position[None, :] * of_position
    return channel, elements, (channel < channels)[:, None] & (position < positions)[None, :]


@triton.jit
def _of_channel(pointer, channel, channels):
    """A value for each channel of this program's image, as a column."""
    row = tl.program_id(0) * channels
    return tl.load(pointer + row + channel, mask=channel < channels, other=0)[:, None]


@triton.jit
def _scale_add_relu(
    z,
    gate,
    identity,
    out,
    channels,
    positions,
    of_channel,
    of_position,
    WIDE: tl.constexpr,
    LONG: tl.constexpr,
):
    first = tl.program_id(2) * LONG
    channel, at, exists = _tile(channels, positions, of_channel, of_position, first, WIDE, LONG)
    scales = _of_channel(gate, channel, channels)
    wide = scales.dtype
    value = tl.load(z + at, mask=exists).to(wide) * scales + tl.load(identity + at, mask=exists).to(wide)
    value = tl.where(value < 0, 0, value)  # a maximum would hide NaN
    tl.store(out + at, value.to(out.dtype.element_ty), mask=exists)


@triton.jit
def _mask_and_sum(
    grad,
    out,
    kept,
    gate,
    masked,
    sums,
    channels,
    positions,
    of_channel,
    of_position,
    GATED: tl.constexpr,
    STEPS: tl.constexpr,
    WIDE: tl.constexpr,
    LONG: tl.constexpr,
):
    wide = sums.dtype.element_ty
    total = tl.zeros((WIDE,), dtype=wide)
    channel = tl.program_id(1) * WIDE + tl.arange(0, WIDE)
    for step in range(STEPS):
        first = (tl.program_id(2) * STEPS + step) * LONG
        channel, at, exists = _tile(channels, positions, of_channel, of_position, first, WIDE, LONG)
        result = tl.load(out + at, mask=exists, other=0).to(wide)
        value = tl.load(kept + at, mask=exists, other=0).to(wide)
        gradient = tl.where(result <= 0, 0, tl.load(grad + at, mask=exists, other=0).to(wide))
        tl.store(masked + at, gradient.to(masked.dtype.element_ty), mask=exists)
        value = value * _of_channel(gate, channel, channels) if GATED else result - value
        total += tl.sum(gradient * value, axis=1)
    row = (tl.program_id(0) * tl.num_programs(2) + tl.program_id(2)) * channels
    tl.store(sums + row + channel, total, mask=channel < channels)


@triton.jit
def _scale_shift(
    grad,
    gate,
    shift,
    out,
    channels,
    positions,
    of_channel,
    of_position,
    WIDE: tl.constexpr,
    LONG: tl.constexpr,
):
    first = tl.program_id(2) * LONG
    channel, at, exists = _tile(channels, positions, of_channel, of_position, first, WIDE, LONG)
    scales, shifts = _of_channel(gate, channel, channels), _of_channel(shift, channel, channels)
    value = tl.load(grad + at, mask=exists).to(scales.dtype) * scales + shifts
    tl.store(out + at, value.to(out.dtype.element_ty), mask=exists)


def _launch(kernel: Any, x: Tensor, *tensors: Optional[Tensor], **options: Any) -> None:
    """Run a kernel in the tiles of ``x`` ``(N, C, H, W)``, whose order in memory all tensors have."""
    channels, positions, rows = x.shape[1], x.shape[2] * x.shape[3], x.is_contiguous()
    strides = (positions, 1) if rows else (1, channels)
    with torch.cuda.device_of(x):
        kernel[_programs(x, options.get('STEPS', 1))](
            *tensors, channels, positions, *strides, **options, **_tile_of(x)
        )


def _tile_of(x: Tensor) -> Dict[str, int]:
    if x.is_contiguous():
        return dict(WIDE=1, LONG=min(1024, triton.next_power_of_2(x.shape[2] * x.shape[3])))
    return dict(WIDE=min(128, triton.next_power_of_2(x.shape[1])), LONG=16)


def _programs(x: Tensor, steps: int) -> Tuple[int, int, int]:
    tile = _tile_of(x)
    along = triton.cdiv(x.shape[2] * x.shape[3], tile['LONG'] * steps)
    return len(x), triton.cdiv(x.shape[1], tile['WIDE']), along


def _flat(x: Tensor) -> Tensor:
    return x.flatten().to(torch.promote_types(x.dtype, torch.float32))


def scale_add_relu(z: Tensor, gate: Tensor, identity: Tensor, overwrite: bool) -> Tensor:
    """As ``tail_torch.scale_add_relu``."""
    out = z if overwrite else torch.empty_like(z)
    _launch(_scale_add_relu, z, z, _flat(gate), identity, out)
    return out


def mask_and_sum(
    grad: Tensor, out: Tensor, kept: Tensor, gate: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
    """As ``tail_torch.mask_and_sum``; there is no buffer."""
    masked, (images, _, parts) = torch.empty_like(out), _programs(out, _STEPS)
    kind = torch.promote_types(out.dtype, torch.float32)
    sums = torch.empty(images, parts, out.shape[1], dtype=kind, device=out.device)
    gated = dict(GATED=gate is not None, STEPS=_STEPS)
    _launch(_mask_and_sum, out, grad, out, kept, None if gate is None else _flat(gate), masked, sums, **gated)
    return masked, sums.sum(1), None


def scale_shift(grad: Tensor, gate: Tensor, shift: Tensor, buffer: Optional[Tensor]) -> Tensor:
    """As ``tail_torch.scale_shift``."""
    out = torch.empty_like(grad) if buffer is None else buffer
    _launch(_scale_shift, grad, grad, _flat(gate), _flat(shift), out)
    return out
