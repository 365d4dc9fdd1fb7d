"""Check RoIs and convert them to the coordinates of the features that they are pooled from."""

from typing import List, NamedTuple, Tuple

import torch
from torch import Tensor

MAX_TAPS = 2**21
"""Taps held at once: 16 MB of indices and weights, and three times as much while they are sorted."""


class Grid(NamedTuple):
    """How a RoI is divided into bins and sampled.

    A cell is the area that a pixel of the features covers.

    Attributes:
        output_size: Number of bins along height and width.
        sampling_ratio: Samples per bin along each axis; 0 takes one sample per cell that the bin covers.
        offset: Subtracted from coordinates in cells; 0.5 if RoIs are aligned, else 0.
        smallest_side: Sides of smaller RoIs are extended to this number of cells.
    """

    output_size: Tuple[int, int]
    sampling_ratio: int = 0
    offset: float = 0.5
    smallest_side: float = 0.0

    @property
    def bins(self) -> int:
        """Number of bins of a RoI."""
        return self.output_size[0] * self.output_size[1]


class Regions(NamedTuple):
    """RoIs in cells of the level that each is pooled from; all tensors have one row per RoI.

    Attributes:
        row: Row of the output ``(R,)``.
        level: Index of the level ``(R,)``.
        image: Index of the image in the batch ``(R,)``.
        start: Top and left edge ``(R, 2)``.
        bin_size: Height and width of a bin ``(R, 2)``.
        samples: Number of samples of a bin along height and width ``(R, 2)``.
        size: Height and width of the level ``(R, 2)``.
    """

    row: Tensor
    level: Tensor
    image: Tensor
    start: Tensor
    bin_size: Tensor
    samples: Tensor
    size: Tensor

    def select(self, rows: Tensor) -> 'Regions':
        """Return the regions at the given rows."""
        return Regions(*(tensor[rows] for tensor in self))


def build_regions(
    rois: Tensor, levels: Tensor, shapes: List[torch.Size], scales: List[float], grid: Grid
) -> Regions:
    """Check RoIs and convert them to the cells of their levels.

    Args:
        rois: Batch index and corners ``(R, 5)``, float32 or float64.
        levels: Level of each RoI ``(R,)``; RoIs of a level that does not exist are left out.
        shapes: Shape of each level's features ``(N, C, H, W)``.
        scales: Cells per pixel of the image, for each level.
        grid: How RoIs are divided and sampled.

    Raises:
        ValueError: If a RoI is not finite, belongs to no image, or has a negative side although
            ``grid.smallest_side`` is 0, or if features have no pixels.
    """
    index = ((levels >= 0) & (levels < len(shapes))).nonzero().squeeze(1)
    rois, level = rois[index], levels[index].long()
    image, corners = rois[:, 0].long(), rois[:, [2, 1, 4, 3]]
    corners = corners * corners.new_tensor(scales)[level, None] - grid.offset
    start, side = corners[:, :2], corners[:, 2:] - corners[:, :2]
    if grid.smallest_side:
        side = side.clamp(min=grid.smallest_side)
    _check(rois, image, side, shapes)
    bin_size = side / side.new_tensor(grid.output_size)
    samples = torch.full_like(bin_size, grid.sampling_ratio) if grid.sampling_ratio > 0 else bin_size.ceil()
    size = torch.tensor([shape[2:] for shape in shapes])[level].to(rois.dtype)
    return Regions(index, level, image, start, bin_size, samples, size)


def _check(rois: Tensor, image: Tensor, side: Tensor, shapes: List[torch.Size]) -> None:
    images = min(shape[0] for shape in shapes)
    problems = (
        (~rois.isfinite().all(1), 'coordinates must be finite'),
        ((image < 0) | (image >= images), f'the first column must be an image from 0 to {images - 1}'),
        (~(side >= 0).all(1), 'RoIs must have x2 >= x1 and y2 >= y1'),
    )
    for is_wrong, rule in problems:
        if is_wrong.any():
            raise ValueError(
                f'RoI {rois[is_wrong][0].tolist()} (image, x1, y1, x2, y2) is invalid: {rule}. '
                f'{int(is_wrong.sum())} of {len(rois)} RoIs have this problem.'
            )
    if len(rois) and not all(shape[2] and shape[3] for shape in shapes):
        raise ValueError(f'features without pixels: {[tuple(shape) for shape in shapes]}')


def split_regions(regions: Regions, grid: Grid) -> List[Regions]:
    """Split regions so that no part has more than ``MAX_TAPS`` taps, unless a single RoI has more."""
    if not len(regions.row):
        return []
    max_taps = 2 * grid.sampling_ratio if grid.sampling_ratio > 0 else regions.samples + 1
    max_taps_per_axis = torch.minimum(2 * regions.size, torch.as_tensor(max_taps)).clamp(min=2).amax(1)
    # All RoIs of a part are padded to the number of taps of the largest, so RoIs of similar size go together.
    taps, order = (grid.bins * max_taps_per_axis.double() ** 2).sort()
    if taps[-1] * len(taps) <= MAX_TAPS:
        return [regions]
    parts, first = [], 0
    while first < len(taps):
        rest = taps[first:]
        count = int((rest * torch.arange(1, len(rest) + 1) <= MAX_TAPS).sum())
        parts.append(regions.select(order[first : first + max(1, count)]))
        first += max(1, count)
    return parts
