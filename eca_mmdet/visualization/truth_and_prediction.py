"""Draw the ground truth and the prediction of a detector side by side."""

from dataclasses import replace
from typing import Any, Optional

import cv2
import numpy as np

from ..prediction.drawing import draw
from ..prediction.result import Result
from .captions import add_caption

_MIN_SIDE = 320  # smaller images are enlarged, so that outlines and labels do not cover their objects
_GAP = 8  # pixels to the right of each drawing and below it


def truth_and_prediction(truth: Optional[Result], prediction: Result) -> np.ndarray:
    """Draw ground truth and prediction, with captions, in one row.

    Images whose shorter side is below 320 pixels are enlarged by a whole number.

    Args:
        truth: The annotated objects, or ``None`` for an image without annotations.
        prediction: The predicted objects. Both results have the image.

    Returns:
        The drawing, uint8, BGR.
    """
    panels = []
    for result, caption in ((truth, 'ground truth'), (prediction, 'prediction')):
        if result is not None:
            drawing = add_caption(draw(_enlarge(result), with_scores=result is prediction), caption)
            panels.append(np.pad(drawing, ((0, _GAP), (0, _GAP), (0, 0)), constant_values=255))
    return np.concatenate(panels, axis=1)


def truth_of(instances: Any, prediction: Result) -> Result:
    """Convert the ``gt_instances`` of an mmdet data sample, which refer to the original image."""
    boxes = instances.bboxes
    boxes = boxes.tensor if hasattr(boxes, 'tensor') else boxes
    masks = instances.masks.to_ndarray().astype(bool) if 'masks' in instances else None
    return replace(
        prediction,
        boxes=boxes.cpu().numpy().astype(np.float32).reshape(-1, 4),
        scores=np.ones(len(instances), np.float32),
        labels=instances.labels.cpu().numpy().astype(np.int64),
        masks=masks,
    )


def _enlarge(result: Result) -> Result:
    factor = -(-_MIN_SIDE // min(result.size))
    if factor == 1 or result.image is None:
        return result
    height, width = (side * factor for side in result.size)
    masks = result.masks
    return replace(
        result,
        image=cv2.resize(result.image, (width, height), interpolation=cv2.INTER_CUBIC),
        size=(height, width),
        boxes=result.boxes * factor,
        masks=None if masks is None else masks.repeat(factor, axis=1).repeat(factor, axis=2),
    )
