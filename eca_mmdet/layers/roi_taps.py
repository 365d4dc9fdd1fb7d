r"""The pixels and weights that RoIAlign reads, as bags of indices.

RoIAlign (Mask R-CNN, arXiv 1703.06870, section 3) averages bilinear samples in each bin of a RoI.
A bin is thus a weighted sum of feature vectors. Bilinear weights are separable: the weight of pixel
:math:`(y, x)` is :math:`w_y w_x`. So the samples are merged per axis first, where neighbouring samples
share pixels, and a bin's taps are the outer product of two short lists.

Positions are computed operation by operation as in mmcv's kernel. A sample at the border of the
features counts or does not, and another rounding would decide otherwise.
"""

from typing import Callable, List, NamedTuple, Tuple

import torch
from torch import Tensor

from .roi_regions import Grid, Regions


class Taps(NamedTuple):
    """Bags of pixels, one bag per bin, ordered by level.

    Attributes:
        index: Rows of the output, one per RoI ``(R,)``.
        pixels: Positions in a level's features as a table ``(N * H * W, C)``, one per tap.
        weights: Of each pixel.
        offsets: Where each bag starts, and the end ``(R * bins + 1,)``.
        levels: Level, first and last RoI of each run of RoIs on one level.
    """

    index: Tensor
    pixels: Tensor
    weights: Tensor
    offsets: Tensor
    levels: List[Tuple[int, int, int]]


def taps_of(regions: Regions, shapes: List[torch.Size], grid: Grid) -> Taps:
    """Pixels and weights of the bins of RoIs."""
    columns = axis_taps(regions, 1, grid)
    rows = axis_taps(regions, 0, grid)
    height, width = regions.size.long().unbind(1)
    base = (regions.image * height * width)[:, None, None]
    rows = rows._replace(pixels=rows.pixels * width[:, None, None] + base)

    # RoIs with the same level and numbers of taps lie together, so that no Python loop meets single RoIs.
    radix = 1 + int(max(rows.count.max(), columns.count.max()))
    keys, order = ((regions.level * radix + rows.count) * radix + columns.count).sort()
    groups = [group.tolist() for group in keys.unique_consecutive(return_counts=True)]
    groups = [(key // radix**2, key // radix % radix, key % radix, count) for key, count in zip(*groups)]
    per_bin = keys // radix % radix * (keys % radix)
    offsets = torch.zeros(len(keys) * grid.bins + 1, dtype=torch.long)
    torch.cumsum(per_bin.repeat_interleave(grid.bins), 0, out=offsets[1:])
    total = int(offsets[-1])

    small = max(total, *(shape[0] * shape[2] * shape[3] for shape in shapes)) < 2**31
    dtype = torch.int32 if small else torch.long
    pixels, weights = torch.empty(total, dtype=dtype), torch.empty(total, dtype=regions.start.dtype)
    _outer(rows.pixels[order].to(dtype), columns.pixels[order].to(dtype), pixels, groups, grid, torch.add)
    _outer(rows.weights[order], columns.weights[order], weights, groups, grid, torch.mul)
    return Taps(regions.index[order], pixels, weights, offsets.to(dtype), _runs(groups))


def _outer(
    rows: Tensor,
    columns: Tensor,
    out: Tensor,
    groups: List[Tuple[int, int, int, int]],
    grid: Grid,
    combine: Callable,
) -> None:
    """Combine each bin's taps along height with those along width, RoIs of one group at a time."""
    tap = roi = 0
    for _, high, wide, count in groups:
        part, end = slice(roi, roi + count), tap + count * grid.bins * high * wide
        # Repeated to one row per bin first: an inner loop over three or four taps is slow.
        a = rows[part, :, :high, None].expand(-1, -1, -1, wide).flatten(2).unsqueeze(2)
        b = columns[part, :, None, :wide].expand(-1, -1, high, -1).flatten(2).unsqueeze(1)
        combine(a, b, out=out[tap:end].view(count, *grid.output_size, high * wide))
        tap, roi = end, roi + count


def _runs(groups: List[Tuple[int, int, int, int]]) -> List[Tuple[int, int, int]]:
    runs, roi = [], 0
    for level, _, _, count in groups:
        first = runs.pop()[1] if runs and runs[-1][0] == level else roi
        roi += count
        runs.append((level, first, roi))
    return runs


class AxisTaps(NamedTuple):
    """Taps along one axis.

    Attributes:
        pixels: Their places ``(R, bins, K)``, as many as the longest list needs.
        weights: Of each.
        count: How many a RoI's longest list has ``(R,)``. What follows them has the weight 0.
    """

    pixels: Tensor
    weights: Tensor
    count: Tensor


def axis_taps(regions: Regions, axis: int, grid: Grid) -> AxisTaps:
    """Merge the samples of each bin along one axis into pixels, each named once.

    Args:
        regions: RoIs.
        axis: 0 for height, 1 for width.
        grid: How RoIs are divided.
    """
    start, bin_size, samples, size = (
        part[:, axis, None, None] for part in (regions.start, regions.bin_size, regions.samples, regions.size)
    )
    bin_start = start + torch.arange(grid.output_size[axis], dtype=start.dtype).view(-1, 1) * bin_size
    number = _sample_numbers(bin_start, bin_size, samples, size, grid)
    counts, number = number < samples, number.minimum(samples - 1).clamp(min=0)
    per_bin = samples.clamp(min=1)
    y = bin_start + (number + 0.5) * bin_size / per_bin
    shares = (counts & (y >= -1) & (y <= size)) / per_bin
    y = y.clamp(min=0).minimum(size - 1)
    low = y.floor()
    upper, low = shares * (y - low), low.long()
    # The pixel before a sample is its predecessor's, the one behind that, or a new one; so is the next.
    place = torch.zeros_like(low)
    torch.cumsum(low.diff(dim=2).clamp(max=2), 2, out=place[:, :, 1:])
    high = (low + 1).minimum(size.long() - 1)
    most = 2 + int(place.max())
    pixels = high[:, :, -1:].repeat(1, 1, most)  # padding reads a pixel that the bin reads anyway
    pixels.scatter_(2, place + 1, high).scatter_(2, place, low)
    weights = torch.zeros(pixels.shape, dtype=y.dtype)
    weights.scatter_add_(2, place, shares - upper).scatter_add_(2, place + 1, upper)
    return AxisTaps(pixels, weights, place[:, :, -1].amax(1) + 2)


def _sample_numbers(bin_start: Tensor, bin_size: Tensor, samples: Tensor, size: Tensor, grid: Grid) -> Tensor:
    """Numbers of the samples of each bin, from the first that may lie on the features.

    A RoI far larger than the features has few samples on them: they are half a cell apart or more.
    """
    most, bound = int(samples.max()), 2 * int(size.max()) + 12
    number = torch.arange(max(1, min(most, bound) if grid.sampling_ratio <= 0 else most), dtype=samples.dtype)
    if grid.sampling_ratio > 0 or most <= bound:
        return number.expand(1, 1, -1)
    first = ((-1 - bin_start) * samples / bin_size).nan_to_num(0).floor() - 4
    return first.minimum(samples - 1).clamp(min=0) + number
