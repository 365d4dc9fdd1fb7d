"""RoIAlign from its definition, one sample after the other, in Python's floats (float64)."""

import math

import torch


def plain_roi_align(shape, rois, grid, scale):
    """The matrix that maps features as rows ``(N * H * W, C)`` to bins ``(R * bins, C)``."""
    n, _, height, width = shape
    matrix = torch.zeros(len(rois) * grid.bins, n * height * width, dtype=torch.float64)
    for r, (image, *corners) in enumerate(rois.tolist()):
        x1, y1, x2, y2 = (corner * scale - grid.offset for corner in corners)
        rows = _bins(y1, y2, grid.output_size[0], grid)
        columns = _bins(x1, x2, grid.output_size[1], grid)
        for p, ys in enumerate(rows):
            for q, xs in enumerate(columns):
                bin_ = (r * len(rows) + p) * len(columns) + q
                for y in ys:
                    for x in xs:
                        for pixel, weight in _bilinear(y, x, height, width):
                            place = int(image) * height * width + pixel
                            matrix[bin_, place] += weight / (len(ys) * len(xs))
    return matrix


def _bins(start, end, count, grid):
    """Positions of the samples of each bin along one axis."""
    side = max(end - start, grid.smallest_side)
    size = side / count
    samples = grid.sampling_ratio or math.ceil(size)
    return [[start + p * size + (i + 0.5) * size / samples for i in range(samples)] for p in range(count)]


def _bilinear(y, x, height, width):
    """Pixels around a position, with their weights; none for positions outside."""
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
