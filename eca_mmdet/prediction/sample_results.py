"""Convert the predictions of the host libraries to results."""

from dataclasses import replace
from typing import Any, Tuple

import numpy as np

from .result import Result
from .sources import SourceImage

_PANOPTIC_OFFSET = 1000  # INSTANCE_OFFSET of mmdet


def to_result(sample: Any, image: SourceImage, classes: Tuple[str, ...]) -> Result:
    """Convert the data sample that a model of mmdet, mmseg or mmpretrain predicts.

    Args:
        sample: The prediction for one image.
        image: The image.
        classes: The class names of the model.
    """
    height, width = image.pixels.shape[:2]
    result = Result(classes, (height, width), image.path, image=image.pixels)
    if 'pred_score' in sample:
        result.probabilities = sample.pred_score.cpu().numpy().astype(np.float32)
    elif 'pred_sem_seg' in sample:
        result.segmentation = sample.pred_sem_seg.data[0].cpu().numpy().astype(np.int64)
    elif 'pred_panoptic_seg' in sample:
        result = panoptic_instances(result, sample.pred_panoptic_seg.sem_seg[0].cpu().numpy())
    elif 'pred_instances' in sample:
        found = sample.pred_instances
        result.boxes = found.bboxes.cpu().numpy().astype(np.float32).reshape(-1, 4)
        result.scores = found.scores.cpu().numpy().astype(np.float32)
        result.labels = found.labels.cpu().numpy().astype(np.int64)
        if 'masks' in found:
            result.masks = found.masks.cpu().numpy().astype(bool).reshape(-1, height, width)
    return result


def panoptic_instances(result: Result, segments: np.ndarray) -> Result:
    """Add the segments of mmdet's panoptic result ``(H, W)``: label + 1000 x number, without scores."""
    numbers = [n for n in np.unique(segments) if n % _PANOPTIC_OFFSET < len(result.classes)]
    masks = segments[None] == np.array(numbers, segments.dtype)[:, None, None]
    boxes = np.zeros((len(numbers), 4), np.float32)
    for box, mask in zip(boxes, masks):
        y, x = np.nonzero(mask)
        box[:] = x.min(), y.min(), x.max() + 1, y.max() + 1
    labels = np.array(numbers, np.int64) % _PANOPTIC_OFFSET
    scores = np.ones(len(numbers), np.float32)
    return replace(result, boxes=boxes, scores=scores, labels=labels, masks=masks)
