r"""Compute which pixels RoIAlign reads for each bin, and with which weights.

RoIAlign (Mask R-CNN, arXiv 1703.06870, section 3) averages bilinear samples in each bin of a RoI. So each
bin is a weighted sum of feature vectors. A tap is one term of this sum: a pixel and its weight.

Bilinear weights are separable: pixel :math:`(y, x)` has the weight :math:`w_y w_x`. So neighbouring samples
that read the same pixel are merged along each axis first. The taps of a bin are then the outer product of
two short lists, one per axis.

Positions are computed with the operations of mmcv's kernel in the same order. Otherwise rounding could
decide differently whether a sample at the border lies on the features.
"""

from typing import Callable, List, NamedTuple, Tuple

import torch
from torch import Tensor

from .roi_regions import Grid, Regions


class Taps(NamedTuple):
    """Taps of all bins, ordered by level.

    Attributes:
        rows: Rows of the output, one per RoI ``(R,)``.
        pixels: Row of each tap in a level's features as a table ``(N * H * W, C)``.
        weights: Weight of each tap.
        offsets: Index of the first tap of each bin, and the number of taps ``(R * bins + 1,)``.
        levels: Level, first RoI and end of each range of RoIs on one level.
    """

    rows: Tensor
    pixels: Tensor
    weights: Tensor
    offsets: Tensor
    levels: List[Tuple[int, int, int]]


class _Group(NamedTuple):
    """Consecutive RoIs of one level whose bins have the same number of taps along height and width."""

    level: int
    row_taps: int
    column_taps: int
    rois: int


def compute_taps(regions: Regions, shapes: List[torch.Size], grid: Grid) -> Taps:
    """Compute the taps of all bins of regions.

    Args:
        regions: RoIs in cells of their levels.
        shapes: Shape of each level's features ``(N, C, H, W)``.
        grid: How RoIs are divided and sampled.
    """
    columns = compute_axis_taps(regions, 1, grid)
    rows = compute_axis_taps(regions, 0, grid)
    height, width = regions.size.long().unbind(1)
    image_start = (regions.image * height * width)[:, None, None]
    rows = rows._replace(pixels=rows.pixels * width[:, None, None] + image_start)

    # RoIs are sorted into groups that one operation can process, so that no Python loop runs over RoIs.
    radix = 1 + int(max(rows.counts.max(), columns.counts.max()))
    keys, order = ((regions.level * radix + rows.counts) * radix + columns.counts).sort()
    group_keys, group_sizes = keys.unique_consecutive(return_counts=True)
    groups = [
        _Group(key // radix**2, key // radix % radix, key % radix, rois)
        for key, rois in zip(group_keys.tolist(), group_sizes.tolist())
    ]
    taps_per_bin = keys // radix % radix * (keys % radix)
    offsets = torch.zeros(len(keys) * grid.bins + 1, dtype=torch.long)
    torch.cumsum(taps_per_bin.repeat_interleave(grid.bins), 0, out=offsets[1:])
    total = int(offsets[-1])

    largest_index = max(total, *(shape[0] * shape[2] * shape[3] for shape in shapes))
    dtype = torch.int32 if largest_index < 2**31 else torch.long
    pixels, weights = torch.empty(total, dtype=dtype), torch.empty(total, dtype=regions.start.dtype)
    row_pixels, column_pixels = rows.pixels[order].to(dtype), columns.pixels[order].to(dtype)
    _combine_axes(row_pixels, column_pixels, pixels, groups, grid, torch.add)
    _combine_axes(rows.weights[order], columns.weights[order], weights, groups, grid, torch.mul)
    return Taps(regions.row[order], pixels, weights, offsets.to(dtype), _level_ranges(groups))


def _combine_axes(
    rows: Tensor, columns: Tensor, out: Tensor, groups: List[_Group], grid: Grid, combine: Callable
) -> None:
    """Combine the taps of each bin along height with those along width, and write them to ``out``."""
    first_tap = first_roi = 0
    for group in groups:
        rois = slice(first_roi, first_roi + group.rois)
        taps = group.row_taps * group.column_taps
        end = first_tap + group.rois * grid.bins * taps
        # Expanding to all taps of a bin first is faster than broadcasting over axes of three or four taps.
        a = rows[rois, :, : group.row_taps, None].expand(-1, -1, -1, group.column_taps)
        b = columns[rois, :, None, : group.column_taps].expand(-1, -1, group.row_taps, -1)
        target = out[first_tap:end].view(group.rois, *grid.output_size, taps)
        combine(a.flatten(2).unsqueeze(2), b.flatten(2).unsqueeze(1), out=target)
        first_tap, first_roi = end, rois.stop


def _level_ranges(groups: List[_Group]) -> List[Tuple[int, int, int]]:
    """Return level, first RoI and end of each range of RoIs on one level."""
    ranges: List[Tuple[int, int, int]] = []
    end = 0
    for group in groups:
        first, end = end, end + group.rois
        if ranges and ranges[-1][0] == group.level:
            _, first, _ = ranges.pop()
        ranges.append((group.level, first, end))
    return ranges


class AxisTaps(NamedTuple):
    """Taps along one axis, padded to ``K`` per bin with taps of weight 0.

    Attributes:
        pixels: Index of each pixel along the axis ``(R, bins, K)``.
        weights: Weight of each pixel ``(R, bins, K)``.
        counts: Largest number of taps of the bins of each RoI ``(R,)``.
    """

    pixels: Tensor
    weights: Tensor
    counts: Tensor


def compute_axis_taps(regions: Regions, axis: int, grid: Grid) -> AxisTaps:
    """Merge the samples of each bin along one axis into taps of different pixels.

    Args:
        regions: RoIs in cells of their levels.
        axis: 0 for height, 1 for width.
        grid: How RoIs are divided and sampled.
    """
    start, bin_size, samples, size = (
        part[:, axis, None, None] for part in (regions.start, regions.bin_size, regions.samples, regions.size)
    )
    bin_start = start + torch.arange(grid.output_size[axis], dtype=start.dtype).view(-1, 1) * bin_size
    number = _sample_numbers(bin_start, bin_size, samples, size, grid)
    exists, number = number < samples, number.minimum(samples - 1).clamp(min=0)
    samples_per_bin = samples.clamp(min=1)
    y = bin_start + (number + 0.5) * bin_size / samples_per_bin
    sample_weight = (exists & (y >= -1) & (y <= size)) / samples_per_bin
    y = y.clamp(min=0).minimum(size - 1)
    low = y.floor()
    high_weight, low = sample_weight * (y - low), low.long()
    # A sample reads the pixels `low` and `low + 1`. Those of the sample before are at `slot` and `slot + 1`,
    # so the slot moves by 0 for the same pixels, by 1 if one pixel is shared, and by 2 if none is.
    slot = torch.zeros_like(low)
    torch.cumsum(low.diff(dim=2).clamp(max=2), 2, out=slot[:, :, 1:])
    high = (low + 1).minimum(size.long() - 1)
    slots = 2 + int(slot.max())
    pixels = high[:, :, -1:].repeat(1, 1, slots)  # padding repeats a pixel that the bin reads anyway
    pixels.scatter_(2, slot + 1, high).scatter_(2, slot, low)
    weights = torch.zeros(pixels.shape, dtype=y.dtype)
    weights.scatter_add_(2, slot, sample_weight - high_weight).scatter_add_(2, slot + 1, high_weight)
    return AxisTaps(pixels, weights, slot[:, :, -1].amax(1) + 2)


def _sample_numbers(bin_start: Tensor, bin_size: Tensor, samples: Tensor, size: Tensor, grid: Grid) -> Tensor:
    """Return the indices of the samples of each bin that may lie on the features.

    With an adaptive sampling ratio, samples are at least half a cell apart. So few samples of a RoI that is
    far larger than the features lie on them, and the others are skipped.
    """
    max_samples, limit = int(samples.max()), 2 * int(size.max()) + 12
    is_adaptive = grid.sampling_ratio <= 0
    count = min(max_samples, limit) if is_adaptive else max_samples
    number = torch.arange(max(1, count), dtype=samples.dtype)
    if not is_adaptive or max_samples <= limit:
        return number.expand(1, 1, -1)
    first = ((-1 - bin_start) * samples / bin_size).nan_to_num(0).floor() - 4
    return first.minimum(samples - 1).clamp(min=0) + number
