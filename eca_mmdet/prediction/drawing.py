"""Draw predictions on images with the library supervision."""

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from .result import Result

DENSE = 40  # with more objects in an image, labels would cover them
# Bright colours that differ from each other and are seen on dark and on light images.
COLORS = [
    '#00d26a', '#ff3b30', '#2f9bff', '#ffc400', '#e040fb', '#00d8e8',
    '#ff8a00', '#a0e000', '#ff6fa8', '#9c83ff', '#00b89c', '#c98a4b',
]  # fmt: skip
_SMALL = 3  # an object gets a label if its box is at least this many times as high as the text


def draw(result: 'Result', with_scores: bool = True) -> np.ndarray:
    """Draw a prediction on its image.

    Every class has its colour. Small objects, and objects in images with many of them, get no label.

    Args:
        result: The prediction, with its image.
        with_scores: Whether labels of objects have the score behind the name.

    Returns:
        The drawing ``(H, W, 3)``, uint8, BGR.

    Raises:
        ImportError: If supervision is not installed.
        ValueError: If the result has no image.
    """
    if result.image is None:
        raise ValueError('the result has no image to draw on: set result.image to a BGR array')
    try:
        import supervision as sv
    except ImportError as error:
        raise ImportError(f'drawing needs supervision ({error}):\n    pip install supervision') from None
    canvas = np.ascontiguousarray(result.image)
    if result.probabilities is not None:
        return _write_text(canvas.copy(), result.summary())
    if result.segmentation is not None:
        return _blend_classes(canvas, result.segmentation)
    detections = result.to_supervision()
    short = min(result.size)
    scale = float(np.clip(short / 1000, 0.35, 0.8))
    palette = sv.ColorPalette.from_hex(COLORS)
    canvas = canvas.copy()
    if result.masks is not None and len(result):
        canvas = sv.MaskAnnotator(palette, opacity=0.4).annotate(canvas, detections)
    canvas = sv.BoxAnnotator(palette, thickness=1 if short < 800 else 2).annotate(canvas, detections)
    heights = result.boxes[:, 3] - result.boxes[:, 1]
    labelled = np.flatnonzero(heights >= _SMALL * 22 * scale)
    if len(labelled) and len(result) <= DENSE:
        chosen = result.select(labelled)
        texts = [
            f'{name} {score:.2f}' if with_scores else name for name, score in zip(chosen.names, chosen.scores)
        ]
        label = sv.LabelAnnotator(
            palette, text_color=sv.Color.BLACK, text_scale=scale, text_padding=2, smart_position=True
        )
        canvas = label.annotate(canvas, chosen.to_supervision(), texts)
    return canvas


def class_colors(count: int) -> np.ndarray:
    """Return ``count`` distinct colours ``(count, 3)``, uint8, BGR."""
    hues = (np.arange(count) * 0.618034 * 180 % 180).astype(np.uint8)  # golden ratio: neighbours differ most
    values = np.where(np.arange(count) % 2, 255, 190).astype(np.uint8)
    hsv = np.stack([hues, np.full(count, 200, np.uint8), values], axis=1)[None]
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR)[0]


def _blend_classes(canvas: np.ndarray, segmentation: np.ndarray) -> np.ndarray:
    colors = class_colors(int(segmentation.max()) + 1)[segmentation]
    return cv2.addWeighted(canvas, 0.4, colors, 0.6, 0)


def _write_text(canvas: np.ndarray, text: str) -> np.ndarray:
    scale = float(np.clip(min(canvas.shape[:2]) / 600, 0.35, 1.0))
    (_, height), baseline = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1], height + baseline + 4), (0, 0, 0), -1)
    at = (3, height + 2)
    cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, scale, (255, 255, 255), 1, cv2.LINE_AA)
    return canvas
