"""mmdet's decoding and selection of boxes, without Python branches on the data."""

from typing import Any, Tuple

import torch
from torch import Tensor

from ..mmdet1_boxes import Legacy1xBBoxCoder
from .standard_operators import nms, top_k

ALL = 2**31 - 1  # more boxes than a model has


def decode(coder: Any, anchors: Tensor, deltas: Tensor, size: Tensor) -> Tensor:
    """Apply deltas to boxes and clip the results to the image.

    Args:
        coder: ``DeltaXYWHBBoxCoder``, or ``Legacy1xBBoxCoder``, which clips like mmdet 1.x.
        anchors: Boxes ``(N, 4)``.
        deltas: ``(N, C * 4)``.
        size: Height and width of the image without padding ``(2,)``, float32.

    Returns:
        Boxes ``(N, C, 4)``.
    """
    # -1 in place of the number of classes could not be resolved where there are no boxes
    boxes = coder.decode(anchors, deltas).unflatten(-1, (deltas.shape[1] // 4, 4))
    high = size.flip(0).repeat(2)
    low = torch.zeros_like(high)
    if isinstance(coder, Legacy1xBBoxCoder):
        low, high = low + low.new_tensor([0, 0, 1, 1]), high - low.new_tensor([1, 1, 0, 0])
    return torch.minimum(torch.maximum(boxes, low), high)


def drop_small(boxes: Tensor, smallest: float) -> Tensor:
    """Return the indices of boxes ``(N, 4)`` with both sides longer than ``smallest``, as in mmdet.

    A negative value keeps all.
    """
    if smallest < 0:
        return torch.arange(boxes.shape[0])
    sides = boxes[:, 2:] - boxes[:, :2]
    return (sides.amin(1) > smallest).nonzero().squeeze(1)


def above(scores: Tensor, threshold: float, count: int = ALL) -> Tuple[Tensor, Tensor, Tensor]:
    """Choose the highest of the scores ``(N, C)`` that are above a threshold.

    Returns:
        Scores, rows and columns, each ``(K,)``, highest scores first.
    """
    flat = scores.flatten()
    indices = (flat > threshold).nonzero().squeeze(1)
    found, order = top_k(flat[indices], count)
    indices = indices[order]
    columns = indices % scores.shape[1]
    return found, torch.div(indices - columns, scores.shape[1], rounding_mode='trunc'), columns


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, cfg: Any, max_count: int) -> Tensor:
    """Suppress overlapping boxes of the same group, with the offsets of ``mmcv.ops.batched_nms``.

    Args:
        boxes: ``(N, 4)``, without negative coordinates.
        scores: ``(N,)``.
        groups: The class or level of each box ``(N,)``.
        cfg: mmdet's ``nms`` settings.
        max_count: Number of boxes to keep; all if it is not positive.

    Returns:
        Indices of the boxes that remain, best first.
    """
    shifted = boxes
    if not cfg.get('class_agnostic', False):
        largest = torch.cat([boxes.flatten(), boxes.new_zeros(1)]).amax()  # there may be no boxes
        shifted = boxes + (groups.to(boxes) * (largest + 1))[:, None]
    return nms(shifted, scores, float(cfg['iou_threshold']), max_count if max_count > 0 else ALL)
