"""Find masks of a COCO annotation file that mmdet accepts, but that are likely mistakes."""

from typing import Any, Dict, Iterator, List, Optional, Tuple

import numpy as np
from pycocotools import mask as rle

from .fault_report import WARNING, FaultReport, Kind
from .suspicious_records import TOLERANCE, is_box

FEW_POINTS = Kind(
    'polygons with fewer than three points', WARNING, 'they are ignored: remove them or add points'
)
ODD = Kind(
    'polygons with an odd number of coordinates',
    WARNING,
    'they are ignored: write [x1, y1, x2, y2, ...]',
)
BEYOND = Kind('masks that extend beyond the image', WARNING, 'clip the polygons to the image')
EMPTY = Kind('masks without pixels', WARNING, 'remove the annotation, or correct its segmentation')
ELSEWHERE = Kind(
    'masks that are not inside their bbox',
    WARNING,
    'mask and bbox belong to different objects: correct the one that is wrong',
)
_MIN_OVERLAP = 0.5
"""Smallest IoU of a box and the box around its mask. Rounding of small objects costs up to 0.4."""
_ROUNDING = 2.0  # pixels

Corners = Tuple[float, float, float, float]


def find_suspicious_masks(content: dict, faults: FaultReport) -> None:
    """Find polygons that are ignored, and masks that do not fit their image or box.

    Args:
        content: The content of the file, without records that have a fault.
        faults: Receives what is found.
    """
    images = {image['id']: image for image in content['images']}
    for annotation in content['annotations']:
        image, mask = images.get(annotation['image_id']), annotation.get('segmentation')
        if not image or not mask:
            continue
        for kind in _mask_faults(mask, image, annotation):
            faults.add(kind, annotation)


def _mask_faults(mask: Any, image: dict, annotation: dict) -> Iterator[Kind]:
    if isinstance(mask, list):
        valid: List[list] = []
        for polygon in mask:
            if len(polygon) % 2:
                yield ODD
            elif len(polygon) < 6:
                yield FEW_POINTS
            else:
                valid.append(polygon)
        around = box_of_polygons(valid)
    else:
        around = _box_of_run_lengths(mask)
        if around is None:
            yield EMPTY
    if around is None:
        return
    size = (image['width'], image['height'])
    if max(-around[0], -around[1], around[2] - size[0], around[3] - size[1]) > TOLERANCE:
        yield BEYOND
    if is_box(annotation.get('bbox')) and not _agree(annotation['bbox'], around):
        yield ELSEWHERE


def box_of_polygons(polygons: List[list]) -> Optional[Corners]:
    """Return the box around polygons, or ``None`` if there are none."""
    if not polygons:
        return None
    xs = [value for polygon in polygons for value in polygon[::2]]
    ys = [value for polygon in polygons for value in polygon[1::2]]
    return min(xs), min(ys), max(xs), max(ys)


def _box_of_run_lengths(mask: Dict[str, Any]) -> Optional[Corners]:
    x, y, w, h = rle.toBbox(compress(mask))
    return (x, y, x + w, y + h) if w > 0 and h > 0 else None


def compress(mask: Dict[str, Any]) -> Dict[str, Any]:
    """Return run lengths in the compressed form of pycocotools."""
    return rle.frPyObjects(mask, *mask['size']) if isinstance(mask['counts'], list) else mask


def _agree(box: List[float], around: Corners) -> bool:
    """Whether a box and the box around its mask are about the same."""
    x1, y1, x2, y2 = box[0], box[1], box[0] + box[2], box[1] + box[3]
    if x2 <= x1 or y2 <= y1:  # reported as a fault of the box
        return True
    if np.abs(np.subtract((x1, y1, x2, y2), around)).max() <= _ROUNDING:
        return True
    width, height = min(x2, around[2]) - max(x1, around[0]), min(y2, around[3]) - max(y1, around[1])
    shared = max(width, 0) * max(height, 0)
    both = (x2 - x1) * (y2 - y1) + (around[2] - around[0]) * (around[3] - around[1]) - shared
    return shared >= _MIN_OVERLAP * both
