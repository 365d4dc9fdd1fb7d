"""Draw image, ground truth and prediction of semantic segmentation side by side, with a legend."""

from typing import Any, Mapping, Optional, Sequence, Tuple

import cv2
import numpy as np

from ..visualization.captions import add_caption

UNLABELLED = (0, 0, 0)
_OPACITY = 0.65
_GAP, _ROW, _SQUARE = 6, 20, 12  # pixels: between the panels, of a row of the legend, of a colour in it
_FONT: Any = dict(fontFace=cv2.FONT_HERSHEY_SIMPLEX, fontScale=0.42)


def side_by_side(
    image: np.ndarray,
    maps: Mapping[str, Optional[np.ndarray]],
    classes: Sequence[str],
    palette: Sequence[Sequence[int]],
) -> np.ndarray:
    """Draw the image and the label maps in one row, above a legend of their classes.

    Args:
        image: The image ``(H, W, 3)``, uint8, RGB.
        maps: Label maps ``(H, W)`` by the caption above them; ``None`` is left out. Maps of another size are
            resized.
        classes: The class names.
        palette: A colour (RGB) for each class. Pixels with other labels are drawn in black.

    Returns:
        The drawing, uint8, RGB.
    """
    height, width = image.shape[:2]
    shown = {
        caption: labels if labels.shape == (height, width) else _resize(labels, width, height)
        for caption, labels in maps.items()
        if labels is not None
    }
    panels = [add_caption(image, 'image')]
    panels += [add_caption(_blend(image, labels, palette), caption) for caption, labels in shown.items()]
    # A gap on the right as well, for an overview of several drawings.
    drawing = np.concatenate([np.pad(p, ((0, 0), (0, _GAP), (0, 0)), constant_values=255) for p in panels], 1)
    present = (
        np.unique(np.concatenate([np.unique(labels) for labels in shown.values()]))
        if shown
        else np.array([], int)
    )
    entries = [(classes[i], tuple(palette[i])) for i in present if 0 <= i < len(classes)]
    if any(not 0 <= i < len(classes) for i in present):
        entries.append(('unlabelled', UNLABELLED))
    return _add_legend(drawing, entries)


def _resize(labels: np.ndarray, width: int, height: int) -> np.ndarray:
    return cv2.resize(labels.astype(np.int32), (width, height), interpolation=cv2.INTER_NEAREST)


def _blend(image: np.ndarray, labels: np.ndarray, palette: Sequence[Sequence[int]]) -> np.ndarray:
    colours = np.array([*palette, UNLABELLED], np.float32)
    is_class = (labels >= 0) & (labels < len(palette))
    colour = colours[np.where(is_class, labels, len(palette))]
    return (image * (1 - _OPACITY) + colour * _OPACITY).astype(np.uint8)


def _add_legend(drawing: np.ndarray, entries: Sequence[Tuple[str, Sequence[int]]]) -> np.ndarray:
    """Append rows with colours and names. The drawing becomes wider if a name does not fit."""
    widths = [_SQUARE + 16 + cv2.getTextSize(name, thickness=1, **_FONT)[0][0] for name, _ in entries]
    total = max([drawing.shape[1], *widths])
    places, x, y = [], 0, 0
    for width in widths:
        if x and x + width > total:
            x, y = 0, y + _ROW
        places.append((x, y))
        x += width
    legend = np.full((y + _ROW if entries else 0, total, 3), 255, np.uint8)
    for (name, colour), (x, y) in zip(entries, places):
        top = y + (_ROW - _SQUARE) // 2
        legend[top : top + _SQUARE, x + 4 : x + 4 + _SQUARE] = colour
        cv2.putText(
            legend,
            name,
            (x + _SQUARE + 8, y + _ROW - 6),
            color=(0, 0, 0),
            thickness=1,
            lineType=cv2.LINE_AA,
            **_FONT,
        )
    padding = np.full((drawing.shape[0], total - drawing.shape[1], 3), 255, np.uint8)
    return np.concatenate([np.concatenate([drawing, padding], axis=1), legend])
