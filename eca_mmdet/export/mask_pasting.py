"""Paste the 28 x 28 masks of Mask R-CNN into the image, with the values of mmdet's ``FCNMaskHead``.

mmdet samples each mask with ``grid_sample`` at the centres of the pixels. The grid is parallel to the axes,
so the same values are two matrix products with a row of interpolation weights per pixel.
"""

from typing import Any, Tuple

import numpy as np
import torch
from torch import Tensor


def paste_all(masks: Tensor, boxes: Tensor, height: Any, width: Any, threshold: float) -> Tensor:
    """Paste masks ``(N, h, w)`` into boxes ``(N, 4)``; return ``(N, height, width)``, bool."""
    rows = _weights(boxes[:, 1], boxes[:, 3], torch.arange(height), masks.shape[1])
    columns = _weights(boxes[:, 0], boxes[:, 2], torch.arange(width), masks.shape[2])
    return rows @ masks @ columns.transpose(1, 2) >= threshold


def paste(masks: np.ndarray, boxes: np.ndarray, size: Tuple[int, int], threshold: float) -> np.ndarray:
    """Paste masks one by one, each only around its box.

    Args:
        masks: ``(N, h, w)`` float32, from 0 to 1.
        boxes: ``(N, 4)`` float32, in pixels of the image.
        size: Height and width of the image.
        threshold: Pixels with at least this value belong to the mask.

    Returns:
        ``(N, *size)``, bool.
    """
    pasted = np.zeros((len(masks), *size), bool)
    for out, mask, box in zip(pasted, masks, boxes):
        x1, y1, x2, y2 = _around(box, size)
        if x1 < x2 and y1 < y2:
            corners, values = torch.from_numpy(box)[:, None], torch.from_numpy(mask)
            rows = _weights(corners[1], corners[3], torch.arange(y1, y2), mask.shape[0])[0]
            columns = _weights(corners[0], corners[2], torch.arange(x1, x2), mask.shape[1])[0]
            out[y1:y2, x1:x2] = (rows @ values @ columns.T >= threshold).numpy()
    return pasted


def _around(box: np.ndarray, size: Tuple[int, int]) -> Tuple[int, int, int, int]:
    """Return the pixels that mmdet computes for a box: from x1 and y1 to before x2 and y2."""
    x1, y1 = np.maximum(np.floor(box[:2]) - 1, 0)
    x2, y2 = np.minimum(np.ceil(box[2:]) + 1, size[::-1])
    return int(x1), int(y1), int(x2), int(y2)


def _weights(start: Tensor, end: Tensor, pixels: Tensor, count: int) -> Tensor:
    """Return the weight of each of ``count`` mask values for each pixel: ``(N, pixels, count)``.

    Args:
        start: First coordinate of each box ``(N,)``.
        end: Last coordinate ``(N,)``.
        pixels: Indices of the pixels ``(P,)``.
        count: Number of mask values between start and end.
    """
    start, end = start[:, None], end[:, None]
    position = (pixels.to(start) + 0.5 - start) / (end - start) * 2 - 1
    position = torch.where(position.abs() < float('inf'), position, torch.zeros_like(position))
    taps = ((position + 1) * count - 1) / 2
    weights = (1 - (taps[..., None] - torch.arange(count).to(taps)).abs()).clamp(min=0)
    # mmdet leaves out pixels that are further than one pixel from the box
    is_near = (pixels >= start.floor() - 1) & (pixels < end.ceil() + 1)
    return weights * is_near[..., None].to(weights)
