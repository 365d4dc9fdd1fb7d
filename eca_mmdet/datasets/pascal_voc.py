"""Read an XML file of Pascal VOC, as labelImg, CVAT, Roboflow and others write it."""

import math
import re
from pathlib import Path
from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np


class VocObject(NamedTuple):
    """An object of an XML file.

    Args:
        name: Its class.
        box: Left, top, right and bottom edge in pixels, counted from 0.
        polygon: ``[x1, y1, x2, y2, ...]`` in the same coordinates; ``None`` for a box.
        is_difficult: Whether it is marked as difficult.
    """

    name: str
    box: Tuple[float, float, float, float]
    polygon: Optional[List[float]]
    is_difficult: bool


class VocFile(NamedTuple):
    """The content of an XML file.

    Args:
        file_name: The name of the image.
        size: Width and height of the image; ``None`` if the file does not state them.
        objects: The objects in the image.
    """

    file_name: str
    size: Optional[Tuple[int, int]]
    objects: List[VocObject]


def read_voc(path: Path, is_zero_based: bool = False) -> VocFile:
    """Read an XML file.

    VOC counts pixels from 1, and its boxes contain the pixels ``xmin`` to ``xmax``. So the left edge of a box
    is at ``xmin - 1`` and the right edge at ``xmax``.

    Args:
        path: The file.
        is_zero_based: Whether coordinates are edges that count from 0.

    Raises:
        ImportError: If defusedxml is not installed.
        ValueError: If the file is not XML of this form, or if it contains entities, which can be an attack.
    """
    try:
        from defusedxml import ElementTree
        from defusedxml.common import DefusedXmlException
    except ImportError as error:
        raise ImportError(f'reading XML needs defusedxml ({error}):\n    pip install defusedxml') from None
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, UnicodeError) as error:
        raise ValueError(f'{path} is not valid XML: {error}') from None
    except DefusedXmlException as error:
        raise ValueError(f'{path} defines entities and is not read: {error}') from None
    try:
        offset = 0 if is_zero_based else 1
        size = root.find('size')
        width, height = (
            (int(_number(size, side)) for side in ('width', 'height')) if size is not None else (0, 0)
        )
        return VocFile(
            file_name=(root.findtext('filename') or '').strip(),
            size=(width, height) if width > 0 and height > 0 else None,
            objects=[_read_object(node, offset) for node in root.findall('object')],
        )
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None


def _read_object(node: Any, offset: int) -> VocObject:
    name = (node.findtext('name') or '').strip()
    box = node.find('bndbox')
    if not name or box is None:
        raise ValueError('an object has no <name> or no <bndbox>')
    left, right = sorted(_number(box, side) for side in ('xmin', 'xmax'))
    top, bottom = sorted(_number(box, side) for side in ('ymin', 'ymax'))
    difficult = node.find('difficult')
    return VocObject(
        name,
        (left - offset, top - offset, right, bottom),
        _read_polygon(node.find('polygon'), offset),
        difficult is not None and bool(difficult.text) and _number(node, 'difficult') != 0,
    )


def _read_polygon(node: Any, offset: int) -> Optional[List[float]]:
    """Read ``<x1>``, ``<y1>``, ``<x2>``, ... in the order of their numbers."""
    points = {}
    for child in node if node is not None else ():
        match = re.fullmatch(r'([xy])(\d+)', child.tag)
        if match:
            points[int(match[2]), match[1]] = _number(node, child.tag) - offset
    values = [points[key] for key in sorted(points)]
    return values if len(values) >= 6 and len(values) % 2 == 0 else None


def polygon_area(polygon: Sequence[float]) -> float:
    """Return the area of a polygon ``[x1, y1, x2, y2, ...]``."""
    x, y = np.array(polygon[::2]), np.array(polygon[1::2])
    return float(abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2)


def _number(node: Any, tag: str) -> float:
    text = node.findtext(tag)
    try:
        value = float(text)
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f'<{tag}> is {text!r}, but must be a number')
    return value
