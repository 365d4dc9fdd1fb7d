"""Choose the images with the best and the worst detections, and draw objects and detections in colours."""

import logging
from dataclasses import dataclass
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import cv2
import mmcv
import numpy as np
from mmengine.fileio import get
from mmengine.logging import print_log
from pycocotools import mask as rle

from ..report import Example, encode_picture
from .object_matching import IGNORED, Match

COUNT = 6
"""Number of the best images and of the worst."""
WIDTH = 360
_MOST_LABELS = 10  # more labels would cover the objects
_COLORS = ('#2f9e44', '#f08c00', '#e03131', '#868e96')
_CORRECT, _OTHER_CLASS, _WRONG, _IGNORED = range(4)


@dataclass
class DetectedImage:
    """Objects and detections of an image.

    Args:
        path: The image file.
        name: Its name in the annotations.
        match: Which detections are correct.
        detected: The class of each detection.
        labels: The class of each object.
        boxes: The boxes of the detections ``(D, 4)``: x1, y1, x2, y2.
        masks: The RLE masks of the detections, or ``None``.
        annotations: The annotations of the objects.
        to_rle: Converts an annotation to an RLE mask.
    """

    path: str
    name: str
    match: Match
    detected: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    masks: Optional[list]
    annotations: List[Dict[str, Any]]
    to_rle: Callable[[dict], Any]


def draw_examples(images: Sequence[DetectedImage], names: Sequence[str]) -> List[Example]:
    """Draw the images with the highest and the lowest F1. No image is in both groups.

    If they cannot be drawn, a warning says why.
    """
    measured = [image for image in images if image.match.f1 == image.match.f1 and image.path]
    order = sorted(measured, key=lambda image: (image.match.f1, -_errors(image), image.match.correct))
    count = min(COUNT, len(order) // 2)
    groups = {'best': order[::-1][:count], 'worst': order[:count] or order}
    try:
        return [_draw(image, group, names) for group, chosen in groups.items() for image in chosen]
    except (ImportError, OSError, ValueError, AttributeError, cv2.error) as error:
        print_log(f'the report shows no images: {error}', 'current', logging.WARNING)
        return []


def _errors(image: DetectedImage) -> int:
    return image.match.false + image.match.missed


def _draw(image: DetectedImage, group: str, names: Sequence[str]) -> Example:
    match = image.match
    caption = f'F1 {match.f1:.2f}: {match.correct} correct, {match.false} wrong, {match.missed} missed'
    pixels = mmcv.imfrombytes(get(image.path))
    scale = min(1.0, WIDTH / pixels.shape[1])
    small = cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    truth_boxes = np.array([item['bbox'] for item in image.annotations], float).reshape(-1, 4)
    truth_boxes[:, 2:] += truth_boxes[:, :2]
    has_masks = bool(image.annotations) and all(item.get('segmentation') for item in image.annotations)
    truth_masks = [image.to_rle(item) for item in image.annotations] if has_masks and image.masks else None
    sides: List[Tuple[str, np.ndarray, Any, np.ndarray, np.ndarray]] = [
        ('ground truth', truth_boxes, truth_masks, image.labels, _truth_outcomes(image)),
        ('prediction', image.boxes, image.masks, image.detected, _outcomes(image)),
    ]
    pictures = []
    for title, boxes, masks, labels, outcomes in sides:
        shapes = None if masks is None else _shrink(masks, small.shape[:2])
        drawn = draw_outcomes(small, boxes * scale, shapes, outcomes, [names[label] for label in labels])
        pictures.append((title, encode_picture(drawn, WIDTH)))
    return Example(group, image.name, caption, pictures)


def _truth_outcomes(image: DetectedImage) -> np.ndarray:
    match = image.match
    is_seen = np.isin(np.arange(len(image.labels)), match.truth)
    found = np.where(match.is_found, _CORRECT, np.where(is_seen, _OTHER_CLASS, _WRONG))
    return np.where(match.is_crowd, _IGNORED, found)


def _outcomes(image: DetectedImage) -> np.ndarray:
    match = image.match
    found = np.where(match.is_correct, _CORRECT, np.where(match.truth >= 0, _OTHER_CLASS, _WRONG))
    return np.where(match.truth == IGNORED, _IGNORED, found)


def _shrink(masks: Sequence[Any], size: Tuple[int, int]) -> np.ndarray:
    """Decode RLE masks and resize them to ``(N, H, W)``."""
    height, width = size
    resized = [cv2.resize(rle.decode(m), (width, height), interpolation=cv2.INTER_NEAREST) for m in masks]
    return np.array(resized, bool).reshape(-1, height, width)


def draw_outcomes(
    image: np.ndarray,
    boxes: np.ndarray,
    masks: Optional[np.ndarray],
    outcomes: np.ndarray,
    names: Sequence[str],
) -> np.ndarray:
    """Draw boxes and masks in the colours of their outcomes. Names are written where there are few objects.

    Raises:
        ImportError: If supervision is not installed.
    """
    try:
        import supervision as sv
    except ImportError as error:
        raise ImportError(
            f'images of the report need supervision ({error}): pip install supervision'
        ) from None
    canvas = image.copy()
    if not len(boxes):
        return canvas
    colors: Any = dict(color=sv.ColorPalette.from_hex(list(_COLORS)), color_lookup=sv.ColorLookup.CLASS)
    detections = sv.Detections(xyxy=boxes.astype(np.float32), class_id=outcomes, mask=masks)
    if masks is not None:
        canvas = sv.MaskAnnotator(opacity=0.35, **colors).annotate(canvas, detections)
    canvas = sv.BoxAnnotator(thickness=1, **colors).annotate(canvas, detections)
    if len(boxes) <= _MOST_LABELS and len(set(names)) > 1:
        label = sv.LabelAnnotator(text_scale=0.35, text_padding=2, smart_position=True, **colors)
        canvas = label.annotate(canvas, detections, list(names))
    return canvas
