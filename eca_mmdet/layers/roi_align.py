"""RoIAlign (Mask R-CNN, arXiv 1703.06870) for CPUs, with mmcv's values and options.

mmcv's CPU kernel visits every sample of every channel by itself, in one thread. Here the features are a
table with one row of channels per pixel, and a bin is a weighted sum of rows, which
``torch.nn.functional.embedding_bag`` computes. The backward pass is such a sum as well: that of the
bins' gradients, for every pixel. See ``roi_taps.py`` for the pixels and the weights.

Features are read in ``channels_last`` without a copy. Those in another memory format are converted,
and output and gradients then are contiguous, as mmcv's are.
"""

from typing import List, Optional, Sequence

import torch
import torch.nn.functional as F
from mmcv import ops
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .roi_regions import Grid, chunks, regions_of
from .roi_taps import Taps, taps_of

SUMS_AT_ONCE = 2**20
"""Numbers that are summed before they are written to the output, 4 MB that stay in the cache."""


def roi_align(
    features: Sequence[Tensor],
    rois: Tensor,
    scales: Sequence[float],
    grid: Grid,
    levels: Optional[Tensor] = None,
) -> Tensor:
    """Pool RoIs from one or several levels of features on the CPU.

    Args:
        features: Each level's features ``(N, C, H, W)``, all of one floating type, in any memory format.
        rois: Batch index and corners ``(R, 5)`` in pixels of the image. They get no gradient.
        scales: Cells per pixel of the image, for each level.
        grid: How RoIs are divided and sampled.
        levels: The level that each RoI is read from ``(R,)``; ``None`` for the first. The output is zero
            for RoIs of a level that does not exist.

    Returns:
        Pooled features ``(R, C, *grid.output_size)`` in the features' type, and in ``channels_last`` if
        all levels are. Sums of bfloat16 and float16 features are computed in float32 and rounded once.

    Raises:
        ValueError: If ``rois`` is not ``(R, 5)``, or a RoI is not finite, belongs to no image, or has a
            negative side where ``grid`` does not widen it.
    """
    if rois.dim() != 2 or rois.shape[1] != 5:
        raise ValueError(f'RoIs must be (R, 5): image, x1, y1, x2, y2; got {tuple(rois.shape)}')
    levels = rois.new_zeros(len(rois), dtype=torch.long) if levels is None else levels
    shapes = [x.shape for x in features]
    rois = rois.detach().to(_sum_dtype(features[0]))
    regions = regions_of(rois, levels, shapes, list(scales), grid)
    return _RoIAlign.apply(regions, len(rois), grid, *features)


def is_supported(*features: Tensor) -> bool:
    """Whether ``roi_align`` takes these features: plain CPU tensors that no trace or compiler records."""
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
        ctx.shapes, ctx.are_last = [x.shape for x in features], [_is_channels_last(x) for x in features]
        ctx.parts = chunks(regions, grid)
        channels, dtype = features[0].shape[1], _sum_dtype(features[0])
        make = torch.empty if len(regions.index) == count else torch.zeros
        out = make(count, *grid.output_size, channels, dtype=ctx.dtype).permute(0, 3, 1, 2)
        if not all(ctx.are_last):
            out = make(count, channels, *grid.output_size, dtype=ctx.dtype)
        rows = out.permute(0, 2, 3, 1).view(count, grid.bins, channels)
        tables = (
            [_table(x.contiguous(memory_format=torch.channels_last), dtype) for x in features]
            if out.numel()
            else []
        )
        for part in ctx.parts if tables else ():
            taps = taps_of(part, ctx.shapes, grid)
            _pool(rows, tables, taps, grid.bins)
        # A single part's taps are a tenth of the output. They are kept; those of more are made again.
        ctx.taps = [taps] if len(ctx.parts) == 1 and tables and any(ctx.needs_input_grad) else None
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx, grad):
        dtype, channels = _sum_dtype(grad), grad.shape[1]
        table = _table(grad, dtype)
        sums: List[Optional[Tensor]] = [None] * len(ctx.shapes)
        made = (taps_of(part, ctx.shapes, ctx.grid) for part in ctx.parts if channels)
        for taps in ctx.taps or made:
            for level, first, last in taps.levels:
                if ctx.needs_input_grad[3 + level]:
                    n, _, h, w = ctx.shapes[level]
                    found = _pixel_sums(table, taps, first, last, n * h * w, ctx.grid.bins)
                    sums[level] = found if sums[level] is None else sums[level].add_(found)
        grads = []
        for needed, rows, (n, c, h, w), is_last in zip(
            ctx.needs_input_grad[3:], sums, ctx.shapes, ctx.are_last
        ):
            rows = table.new_zeros(n * h * w, c) if rows is None and needed else rows
            x = rows.to(ctx.dtype).view(n, h, w, c).permute(0, 3, 1, 2) if needed else None
            grads.append(x if is_last or not needed else x.contiguous())
        return None, None, None, *grads


def _pool(out: Tensor, tables: List[Tensor], taps: Taps, bins: int) -> None:
    """Write the bins of each RoI to its row of ``out`` ``(R, bins, C)``."""
    step = max(1, SUMS_AT_ONCE // out[0].numel())
    bounds = taps.offsets[::bins].tolist()
    for level, first, last in taps.levels:
        for a in range(first, last, step):
            b = min(a + step, last)
            part = slice(bounds[a], bounds[b])
            offsets = taps.offsets[a * bins : b * bins + 1] - bounds[a]
            found = _bags(tables[level], taps.pixels[part], taps.weights[part], offsets)
            out[taps.index[a:b]] = found.view(b - a, *out.shape[1:]).to(out.dtype)


def _pixel_sums(grads: Tensor, taps: Taps, first: int, last: int, pixels: int, bins: int) -> Tensor:
    """Gradient of a level's table ``(pixels, C)``: each pixel's sum over the bins that read it."""
    bounds = taps.offsets[first * bins : last * bins + 1]
    part = slice(int(bounds[0]), int(bounds[-1]))
    read, order = taps.pixels[part].sort()
    rows = (taps.index[first:last, None] * bins + torch.arange(bins)).to(read.dtype).flatten()
    rows = rows.repeat_interleave(bounds.diff())[order]
    offsets = bounds.new_zeros(pixels + 1)
    torch.cumsum(read.bincount(minlength=pixels), 0, out=offsets[1:])
    return _bags(grads, rows, taps.weights[part][order], offsets)


def _bags(table: Tensor, rows: Tensor, weights: Tensor, offsets: Tensor) -> Tensor:
    return F.embedding_bag(
        rows, table, offsets, mode='sum', per_sample_weights=weights, include_last_offset=True
    )


def _table(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Features ``(N, C, H, W)`` as rows ``(N * H * W, C)``, without a copy if they are ``channels_last``."""
    x = x.detach().contiguous(memory_format=torch.channels_last)
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).to(dtype)


def _sum_dtype(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _is_channels_last(x: Tensor) -> bool:
    return x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()


class RoIAlign(ops.RoIAlign):
    """mmcv's ``RoIAlign``, by this module's function on a CPU.

    Max pooling, ``use_torchvision``, other devices, traces and compilers get mmcv's operator, on
    contiguous features. A detector's config gets this layer by its RoI extractor: see
    ``FastRoIExtractor``.
    """

    @property
    def grid(self) -> Grid:
        """How RoIs are divided and sampled."""
        offset, smallest = (0.5, 0.0) if self.aligned else (0.0, 1.0)
        return Grid(self.output_size, self.sampling_ratio, offset, smallest)

    def is_supported(self, *features: Tensor) -> bool:
        """Whether the CPU form computes what this layer stands for."""
        return self.pool_mode == 'avg' and not self.use_torchvision and is_supported(*features)

    def forward(self, input: Tensor, rois: Tensor) -> Tensor:
        """Pool RoIs ``(R, 5)`` from features ``(N, C, H, W)``: ``(R, C, *output_size)``."""
        if self.is_supported(input):
            return roi_align([input], rois, [self.spatial_scale], self.grid)
        return self.on_any_device(input.contiguous(), rois)

    def on_any_device(self, features: Tensor, rois: Tensor) -> Tensor:
        """mmcv's operator on contiguous features."""
        return super().forward(features, rois)
