"""RoIAlign (Mask R-CNN, arXiv 1703.06870) for CPUs, with mmcv's values and options.

mmcv's CPU kernel computes each sample of each channel separately, in one thread. Here the features are a
table with one row of channels per pixel, and each bin is a weighted sum of rows. The sums are computed by
``torch.nn.functional.embedding_bag``. In the backward pass, the gradient of each pixel is a weighted sum over
the gradients of the bins that read it. ``roi_taps.py`` computes which pixels a bin reads, and their weights.

Features in ``channels_last`` are read without a copy, and output and gradients are in ``channels_last`` too.
Features in other memory formats are converted, and output and gradients are contiguous, as in mmcv.
"""

from typing import List, Optional, Sequence

import torch
import torch.nn.functional as F
from mmcv import ops
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .roi_regions import Grid, build_regions, split_regions
from .roi_taps import Taps, compute_taps

CHUNK_VALUES = 2**20
"""Values computed before they are written to the output: 4 MB, which fit in the CPU cache."""


def roi_align(
    features: Sequence[Tensor],
    rois: Tensor,
    scales: Sequence[float],
    grid: Grid,
    levels: Optional[Tensor] = None,
) -> Tensor:
    """Pool RoIs from one or several levels of features on the CPU.

    Args:
        features: Features ``(N, C, H, W)`` of each level, with one dtype, in any memory format.
        rois: Batch index and corners ``(R, 5)`` in pixels of the image. They get no gradient.
        scales: Pixels of the features per pixel of the image, for each level.
        grid: How RoIs are divided and sampled.
        levels: The level that each RoI is pooled from ``(R,)``; ``None`` for the first. The output is zero
            for RoIs of a level that does not exist.

    Returns:
        Pooled features ``(R, C, *grid.output_size)`` in the dtype of the features, in ``channels_last`` if
        all levels are. Sums of bfloat16 and float16 features are computed in float32 and rounded once.

    Raises:
        ValueError: If ``rois`` is not ``(R, 5)``, a RoI is not finite, belongs to no image, or has a
            negative side although ``grid.smallest_side`` is 0, or features have no pixels.
    """
    if rois.dim() != 2 or rois.shape[1] != 5:
        raise ValueError(f'rois must be (R, 5) (image, x1, y1, x2, y2), got {tuple(rois.shape)}')
    levels = rois.new_zeros(len(rois), dtype=torch.long) if levels is None else levels
    shapes = [x.shape for x in features]
    rois = rois.detach().to(_sum_dtype(features[0]))
    regions = build_regions(rois, levels, shapes, list(scales), grid)
    return _RoIAlign.apply(regions, len(rois), grid, *features)


def is_supported(*features: Tensor) -> bool:
    """Whether ``roi_align`` supports these features: plain CPU tensors, outside traces and compilers."""
    if torch.jit.is_tracing() or torch.compiler.is_compiling():
        return False
    return all(
        type(x) in (Tensor, nn.Parameter)
        and x.device.type == 'cpu'
        and x.dim() == 4
        and x.is_floating_point()
        and x.dtype == features[0].dtype
        for x in features
    )


class _RoIAlign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, regions, count, grid, *features):
        ctx.grid, ctx.dtype = grid, features[0].dtype
        ctx.shapes = [x.shape for x in features]
        ctx.is_channels_last = [_is_channels_last(x) for x in features]
        ctx.parts, ctx.taps = split_regions(regions, grid), None
        channels, dtype = features[0].shape[1], _sum_dtype(features[0])
        allocate = torch.empty if len(regions.row) == count else torch.zeros
        if all(ctx.is_channels_last):
            out = allocate(count, *grid.output_size, channels, dtype=ctx.dtype).permute(0, 3, 1, 2)
        else:
            out = allocate(count, channels, *grid.output_size, dtype=ctx.dtype)
        if not out.numel():
            return out
        rows = out.permute(0, 2, 3, 1).view(count, grid.bins, channels)
        tables = [_to_table(x, dtype) for x in features]
        for part in ctx.parts:
            taps = compute_taps(part, ctx.shapes, grid)
            _pool(rows, tables, taps, grid.bins)
        # The taps of a single part take a tenth of the output's memory, so they are saved. With several
        # parts, the backward pass computes them again.
        if len(ctx.parts) == 1 and any(ctx.needs_input_grad):
            ctx.taps = [taps]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        needs_grad, channels = ctx.needs_input_grad[3:], grad.shape[1]
        table = _to_table(grad, _sum_dtype(grad))
        sums: List[Optional[Tensor]] = [None] * len(ctx.shapes)
        for taps in ctx.taps or (compute_taps(part, ctx.shapes, ctx.grid) for part in ctx.parts if channels):
            for level, first, last in taps.levels:
                if needs_grad[level]:
                    n, _, h, w = ctx.shapes[level]
                    part_sums = _pixel_sums(table, taps, first, last, n * h * w, ctx.grid.bins)
                    sums[level] = part_sums if sums[level] is None else sums[level].add_(part_sums)
        grads: List[Optional[Tensor]] = [None] * len(ctx.shapes)
        for level, (n, c, h, w) in enumerate(ctx.shapes):
            if needs_grad[level]:
                rows = sums[level]
                rows = table.new_zeros(n * h * w, c) if rows is None else rows
                grad_x = rows.to(ctx.dtype).view(n, h, w, c).permute(0, 3, 1, 2)
                grads[level] = grad_x if ctx.is_channels_last[level] else grad_x.contiguous()
        return None, None, None, *grads


def _pool(out: Tensor, tables: List[Tensor], taps: Taps, bins: int) -> None:
    """Compute the bins of each RoI and write them to its row of ``out`` ``(R, bins, C)``."""
    step = max(1, CHUNK_VALUES // out[0].numel())
    roi_offsets = taps.offsets[::bins].tolist()
    for level, first, last in taps.levels:
        for start in range(first, last, step):
            end = min(start + step, last)
            chunk = slice(roi_offsets[start], roi_offsets[end])
            offsets = taps.offsets[start * bins : end * bins + 1] - roi_offsets[start]
            sums = _weighted_sums(tables[level], taps.pixels[chunk], taps.weights[chunk], offsets)
            out[taps.rows[start:end]] = sums.view(end - start, *out.shape[1:]).to(out.dtype)


def _pixel_sums(grads: Tensor, taps: Taps, first: int, last: int, pixels: int, bins: int) -> Tensor:
    """Compute the gradient of a level's table ``(pixels, C)``.

    The gradient of a pixel is the weighted sum of the gradients of the bins that read it.
    """
    bin_offsets = taps.offsets[first * bins : last * bins + 1]
    level_taps = slice(int(bin_offsets[0]), int(bin_offsets[-1]))
    sorted_pixels, order = taps.pixels[level_taps].sort()
    rows = (taps.rows[first:last, None] * bins + torch.arange(bins)).to(sorted_pixels.dtype).flatten()
    rows = rows.repeat_interleave(bin_offsets.diff())[order]
    offsets = bin_offsets.new_zeros(pixels + 1)
    torch.cumsum(sorted_pixels.bincount(minlength=pixels), 0, out=offsets[1:])
    return _weighted_sums(grads, rows, taps.weights[level_taps][order], offsets)


def _weighted_sums(table: Tensor, rows: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    return F.embedding_bag(
        rows, table, offsets, mode='sum', per_sample_weights=weights, include_last_offset=True
    )


def _to_table(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Return features ``(N, C, H, W)`` as ``(N * H * W, C)``, without a copy if in ``channels_last``."""
    x = x.detach().contiguous(memory_format=torch.channels_last)
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).to(dtype)


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class RoIAlign(ops.RoIAlign):
    """``mmcv.ops.RoIAlign`` with a faster implementation for CPUs.

    Max pooling, ``use_torchvision``, other devices, traces and compilers use mmcv's operator on contiguous
    features. To use this layer in the config of a detector, see ``FastRoIExtractor``.
    """

    @property
    def grid(self) -> Grid:
        """How RoIs are divided and sampled."""
        offset, smallest = (0.5, 0.0) if self.aligned else (0.0, 1.0)
        return Grid(self.output_size, self.sampling_ratio, offset, smallest)

    def is_supported(self, *features: Tensor) -> bool:
        """Whether ``roi_align`` supports the options of this layer and the features."""
        return self.pool_mode == 'avg' and not self.use_torchvision and is_supported(*features)

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Pool RoIs ``(R, 5)`` from features ``(N, C, H, W)`` to ``(R, C, *output_size)``."""
        if self.is_supported(input):
            return roi_align([input], rois, [self.spatial_scale], self.grid)
        return self.forward_mmcv(input.contiguous(), rois)

    def forward_mmcv(self, features: Tensor, rois: Tensor) -> Tensor:
        """Pool RoIs from contiguous features with mmcv's operator."""
        return super().forward(features, rois)
