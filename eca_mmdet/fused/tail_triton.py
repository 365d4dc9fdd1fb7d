"""The functions of ``tail_torch`` as Triton kernels for CUDA, one kernel per function.

Values are computed in float32 or float64, whatever the dtype of the tensors. A program processes a tile of
channels and positions of one image. The tile is longer along the axis that is contiguous in memory.
"""

import os
from typing import Any, Dict, Optional, Tuple

import torch
import triton
import triton.language as tl
from torch import Tensor

_STEPS = 8  # tiles that one program of _mask_and_sum sums over


def is_supported(x: Tensor) -> bool:
    """Whether the kernels can read ``x``; Triton's interpreter also reads CPU tensors."""
    is_on_device = x.is_cuda or os.environ.get('TRITON_INTERPRET') == '1'
    return is_on_device and (x.is_contiguous() or x.is_contiguous(memory_format=torch.channels_last))


@triton.jit
def _tile(
    channels,
    positions,
    channel_stride,
    position_stride,
    first_position,
    TILE_CHANNELS: tl.constexpr,
    TILE_POSITIONS: tl.constexpr,
):
    """Return the channels of this program's tile, the offsets of its elements, and which of them exist."""
    channel = tl.program_id(1) * TILE_CHANNELS + tl.arange(0, TILE_CHANNELS)
    position = first_position + tl.arange(0, TILE_POSITIONS)
    image = tl.program_id(0).to(tl.int64) * channels * positions
    offsets = image + channel[:, None] * channel_stride + position[None, :] * position_stride
    return channel, offsets, (channel < channels)[:, None] & (position < positions)[None, :]


@triton.jit
def _load_per_channel(pointer, channel, channels):
    """Load one value per channel of this program's image, as a column."""
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
    channel_stride,
    position_stride,
    TILE_CHANNELS: tl.constexpr,
    TILE_POSITIONS: tl.constexpr,
):
    first = tl.program_id(2) * TILE_POSITIONS
    channel, offsets, exists = _tile(
        channels, positions, channel_stride, position_stride, first, TILE_CHANNELS, TILE_POSITIONS
    )
    scale = _load_per_channel(gate, channel, channels)
    value = tl.load(z + offsets, mask=exists).to(scale.dtype) * scale
    value += tl.load(identity + offsets, mask=exists).to(scale.dtype)
    value = tl.where(value < 0, 0, value)  # unlike tl.maximum, this propagates NaN
    tl.store(out + offsets, value.to(out.dtype.element_ty), mask=exists)


@triton.jit
def _mask_and_sum(
    grad,
    out,
    saved,
    gate,
    masked,
    sums,
    channels,
    positions,
    channel_stride,
    position_stride,
    HAS_GATE: tl.constexpr,
    STEPS: tl.constexpr,
    TILE_CHANNELS: tl.constexpr,
    TILE_POSITIONS: tl.constexpr,
):
    dtype = sums.dtype.element_ty
    total = tl.zeros((TILE_CHANNELS,), dtype=dtype)
    channel = tl.program_id(1) * TILE_CHANNELS + tl.arange(0, TILE_CHANNELS)
    for step in range(STEPS):
        first = (tl.program_id(2) * STEPS + step) * TILE_POSITIONS
        channel, offsets, exists = _tile(
            channels, positions, channel_stride, position_stride, first, TILE_CHANNELS, TILE_POSITIONS
        )
        result = tl.load(out + offsets, mask=exists, other=0).to(dtype)
        value = tl.load(saved + offsets, mask=exists, other=0).to(dtype)
        gradient = tl.where(result <= 0, 0, tl.load(grad + offsets, mask=exists, other=0).to(dtype))
        tl.store(masked + offsets, gradient.to(masked.dtype.element_ty), mask=exists)
        value = value * _load_per_channel(gate, channel, channels) if HAS_GATE else result - value
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
    channel_stride,
    position_stride,
    TILE_CHANNELS: tl.constexpr,
    TILE_POSITIONS: tl.constexpr,
):
    first = tl.program_id(2) * TILE_POSITIONS
    channel, offsets, exists = _tile(
        channels, positions, channel_stride, position_stride, first, TILE_CHANNELS, TILE_POSITIONS
    )
    scale = _load_per_channel(gate, channel, channels)
    value = tl.load(grad + offsets, mask=exists).to(scale.dtype) * scale
    value += _load_per_channel(shift, channel, channels)
    tl.store(out + offsets, value.to(out.dtype.element_ty), mask=exists)


def _launch(kernel: Any, x: Tensor, *tensors: Optional[Tensor], **constants: Any) -> None:
    """Run a kernel on tensors that all have the shape and memory format of ``x`` ``(N, C, H, W)``."""
    channels, positions = x.shape[1], x.shape[2] * x.shape[3]
    strides = (positions, 1) if x.is_contiguous() else (1, channels)
    with torch.cuda.device_of(x):
        kernel[_launch_grid(x, constants.get('STEPS', 1))](
            *tensors, channels, positions, *strides, **constants, **_tile_size(x)
        )


def _tile_size(x: Tensor) -> Dict[str, int]:
    if x.is_contiguous():
        positions = min(1024, triton.next_power_of_2(x.shape[2] * x.shape[3]))
        return dict(TILE_CHANNELS=1, TILE_POSITIONS=positions)
    return dict(TILE_CHANNELS=min(128, triton.next_power_of_2(x.shape[1])), TILE_POSITIONS=16)


def _launch_grid(x: Tensor, steps: int) -> Tuple[int, int, int]:
    """Return the number of programs along images, channels and positions."""
    tile = _tile_size(x)
    along_positions = triton.cdiv(x.shape[2] * x.shape[3], tile['TILE_POSITIONS'] * steps)
    return len(x), triton.cdiv(x.shape[1], tile['TILE_CHANNELS']), along_positions


def _flatten(x: Tensor) -> Tensor:
    return x.flatten().to(torch.promote_types(x.dtype, torch.float32))


def scale_add_relu(z: Tensor, gate: Tensor, identity: Tensor, overwrite: bool) -> Tensor:
    """See ``tail_torch.scale_add_relu``."""
    out = z if overwrite else torch.empty_like(z)
    _launch(_scale_add_relu, z, z, _flatten(gate), identity, out)
    return out


def mask_and_sum(
    grad: Tensor, out: Tensor, saved: Tensor, gate: Optional[Tensor]
) -> Tuple[Tensor, Tensor, Optional[Tensor]]:
    """See ``tail_torch.mask_and_sum``; no buffer is returned."""
    images, _, parts = _launch_grid(out, _STEPS)
    dtype = torch.promote_types(out.dtype, torch.float32)
    masked, sums = torch.empty_like(out), out.new_empty(images, parts, out.shape[1], dtype=dtype)
    gates = None if gate is None else _flatten(gate)
    constants = dict(HAS_GATE=gate is not None, STEPS=_STEPS)
    _launch(_mask_and_sum, out, grad, out, saved, gates, masked, sums, **constants)
    return masked, sums.sum(1), None


def scale_shift(grad: Tensor, gate: Tensor, shift: Tensor, buffer: Optional[Tensor]) -> Tensor:
    """See ``tail_torch.scale_shift``."""
    out = torch.empty_like(grad) if buffer is None else buffer
    _launch(_scale_shift, grad, grad, _flatten(gate), _flatten(shift), out)
    return out
