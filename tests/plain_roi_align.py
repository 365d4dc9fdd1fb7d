"""RoIAlign computed from its definition, one sample at a time, in float64."""

import math
from itertools import product

import torch


def plain_roi_align(shape, rois, grid, scale):
    """Return the matrix that maps features ``(N * H * W, C)`` to pooled bins ``(R * bins, C)``.

    Args:
        shape: Shape of the features ``(N, C, H, W)``.
        rois: Batch index and corners ``(R, 5)``.
        grid: How RoIs are divided and sampled.
        scale: Pixels of the features per pixel of the image.
    """
    n, _, height, width = shape
    matrix = torch.zeros(len(rois) * grid.bins, n * height * width, dtype=torch.float64)
    for r, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (corner * scale - grid.offset for corner in corners)
        bins_y = _sample_positions(y1, y2, grid.output_size[0], grid)
        bins_x = _sample_positions(x1, x2, grid.output_size[1], grid)
        for b, (ys, xs) in enumerate(product(bins_y, bins_x)):
            for y, x in product(ys, xs):
                for pixel, weight in _bilinear(y, x, height, width):
                    column = int(image) * height * width + pixel
                    matrix[r * grid.bins + b, column] += weight / (len(ys) * len(xs))
    return matrix


def _sample_positions(start, end, count, grid):
    """Return the positions of the samples of each bin along one axis."""
    side = max(end - start, grid.smallest_side)
    size = side / count
    samples = grid.sampling_ratio or math.ceil(size)
    return [[start + p * size + (i + 0.5) * size / samples for i in range(samples)] for p in range(count)]


def _bilinear(y, x, height, width):
    """Return the pixels around a position with their weights; none if it is outside of the features."""
    if not (-1 <= y <= height and -1 <= x <= width):
        return []
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    top, left = math.floor(y), math.floor(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    down, across = y - top, x - left
    return [
        (top * width + left, (1 - down) * (1 - across)),
        (top * width + right, (1 - down) * across),
        (bottom * width + left, down * (1 - across)),
        (bottom * width + right, down * across),
    ]
