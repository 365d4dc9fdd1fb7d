"""RoIs in the cells of the features that they are read from, checked and in parts of bounded size."""

from typing import List, NamedTuple, Tuple

import torch
from torch import Tensor

LARGEST_CHUNK = 2**21
"""Taps that are held at once: 16 MB of indices and weights, three times as much while they are sorted."""


class Grid(NamedTuple):
    """How a RoI is divided and sampled.

    Attributes:
        output_size: Bins along height and width.
        sampling_ratio: Samples of a bin along each axis; 0 for one per cell that the bin covers.
        offset: Cells between a coordinate and the pixel whose centre it names; 0.5 if aligned.
        smallest_side: Cells to which the sides of smaller RoIs are widened.
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
    """RoIs in the cells of the level that each is read from; all tensors have one row per RoI.

    Attributes:
        index: Row of the output.
        level: Which features.
        image: Which image of the batch.
        start: First edge along height and width ``(R, 2)``.
        bin_size: ``(R, 2)``.
        samples: Number of samples of a bin along height and width ``(R, 2)``.
        size: Height and width of the level ``(R, 2)``.
    """

    index: Tensor
    level: Tensor
    image: Tensor
    start: Tensor
    bin_size: Tensor
    samples: Tensor
    size: Tensor

    def take(self, chosen: Tensor) -> 'Regions':
        """Some of the RoIs."""
        return Regions(*(part[chosen] for part in self))


def regions_of(
    rois: Tensor, levels: Tensor, shapes: List[torch.Size], scales: List[float], grid: Grid
) -> Regions:
    """Check RoIs and bring them to the cells of their levels.

    Args:
        rois: Batch index and corners ``(R, 5)``, float32 or float64.
        levels: The level of each RoI; one of no level is left out.
        shapes: Shape of each level's features ``(N, C, H, W)``.
        scales: Cells per pixel of the image, for each level.
        grid: How RoIs are divided.

    Raises:
        ValueError: If a RoI is not finite, belongs to no image, or is negative where the grid allows none.
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
        (~(side >= 0).all(1), 'x2 >= x1 and y2 >= y1 must hold'),
    )
    for wrong, rule in problems:
        if wrong.any():
            raise ValueError(
                f'RoI {rois[wrong][0].tolist()} (image, x1, y1, x2, y2): {rule}; '
                f'this concerns {int(wrong.sum())} of {len(rois)} RoIs'
            )
    if len(rois) and not all(shape[2] and shape[3] for shape in shapes):
        raise ValueError(f'features without pixels: {[tuple(shape) for shape in shapes]}')


def chunks(regions: Regions, grid: Grid) -> List[Regions]:
    """Split RoIs so that the taps of no part exceed ``LARGEST_CHUNK``, unless a single RoI's do."""
    if not len(regions.index):
        return []
    most = 2 * grid.sampling_ratio if grid.sampling_ratio > 0 else regions.samples + 1
    per_axis = torch.minimum(2 * regions.size, torch.as_tensor(most)).clamp(min=2).amax(1)
    taps, order = (grid.bins * per_axis.double() ** 2).sort()  # a part is padded to its largest RoI
    if taps[-1] * len(taps) <= LARGEST_CHUNK:
        return [regions]
    parts, first = [], 0
    while first < len(taps):
        rest = taps[first:]
        fit = int((rest * torch.arange(1, len(rest) + 1) <= LARGEST_CHUNK).sum())
        parts.append(regions.take(order[first : first + max(1, fit)]))
        first += max(1, fit)
    return parts
