"""Find records of a COCO annotation file that mmdet accepts, but that are likely mistakes.

All functions expect records without the faults of ``annotation_checks``.
"""

from math import isfinite
from typing import Any, Dict, List, NamedTuple

import numpy as np

from .fault_report import WARNING, FaultReport, Kind

TOLERANCE = 1.0
"""How many pixels an annotation may lie outside its image. Rounding causes as much."""
UNKNOWN_IMAGE = Kind(
    'annotations whose image_id is not in images', WARNING, 'they are ignored: correct or remove them'
)
UNKNOWN_CATEGORY = Kind(
    'annotations whose category_id is not in categories',
    WARNING,
    'their objects are trained as background: add the category, or correct the number',
)
ZERO_ID = Kind(
    'annotations with the id 0',
    WARNING,
    'pycocotools uses 0 for "no match", so the object always counts as missed: number them from 1',
)
SAME_NAME = Kind(
    'images with the same file_name',
    WARNING,
    'objects of the one are missing in the other: merge their annotations into one record',
)
SAME_OBJECT = Kind(
    'annotations with the same image, category and bbox', WARNING, 'remove the copies of the object'
)
CORNERS = Kind(
    'annotations whose bbox looks like [x1, y1, x2, y2]', remedy='write bbox as [x, y, width, height]'
)
FRACTIONS = Kind(
    'annotations whose bbox looks like fractions of the image',
    remedy='write bbox as [x, y, width, height] in pixels',
)
NEGATIVE = Kind(
    'annotations whose bbox has a negative width or height',
    WARNING,
    'they are ignored: write bbox as [x, y, width, height], where x, y is the upper left corner',
)
NO_AREA = Kind('annotations whose bbox has no area', WARNING, 'they are ignored: correct or remove them')
SMALL = Kind('annotations whose bbox is below one pixel', WARNING, 'they are ignored: correct or remove them')
OUTSIDE = Kind(
    'annotations whose bbox is outside the image', WARNING, 'they are ignored: correct or remove them'
)
PARTLY_OUTSIDE = Kind(
    'annotations whose bbox extends beyond the image',
    WARNING,
    'clip bbox to the image, or check whether the file belongs to images of another size',
)
NOT_POSITIVE = Kind(
    'annotations whose area is not positive', WARNING, 'they are ignored: set area to w * h or to the mask'
)


def find_suspicious_records(content: dict, faults: FaultReport) -> None:
    """Find wrong references, copies, and boxes that mmdet ignores or misreads.

    Args:
        content: The content of the file, without records that have a fault.
        faults: Receives what is found.
    """
    images = {image['id']: image for image in content['images']}
    categories = {category['id'] for category in content['categories']}
    names: set = set()
    for image in content['images']:
        if image['file_name'] in names:
            faults.add(SAME_NAME, image)
        names.add(image['file_name'])
    usable, objects = [], set()
    for annotation in content['annotations']:
        if annotation['image_id'] not in images:
            faults.add(UNKNOWN_IMAGE, annotation)
            continue
        if annotation['category_id'] not in categories:
            faults.add(UNKNOWN_CATEGORY, annotation)
        if not is_box(annotation.get('bbox')):
            continue
        usable.append(annotation)
        key = (annotation['image_id'], annotation['category_id'], *annotation['bbox'])
        if key in objects:
            faults.add(SAME_OBJECT, annotation)
        objects.add(key)
    if usable:
        _find_wrong_boxes(usable, images, faults)


def find_zero_ids(content: dict, faults: FaultReport) -> None:
    """Find annotations with the id 0, which count as missed in an evaluation."""
    faults.add_all(ZERO_ID, (item for item in content.get('annotations', []) if item['id'] == 0))


def is_box(value: Any) -> bool:
    """Whether a bbox is a list of four finite numbers."""
    try:
        x, y, w, h = value
        return isfinite(x + y + w + h)
    except (TypeError, ValueError):
        return False


class Boxes(NamedTuple):
    """The boxes of several annotations.

    Args:
        values: ``(N, 4)`` float64: x, y, width, height.
        sizes: ``(N, 2)`` float64: width and height of their images.
    """

    values: np.ndarray
    sizes: np.ndarray

    @property
    def beyond(self) -> np.ndarray:
        """``(N,)``: by how many pixels each box extends beyond its image."""
        ends = self.values[:, :2] + self.values[:, 2:] - self.sizes
        return np.maximum(-self.values[:, :2], ends).max(axis=1)

    def are_fractions(self) -> bool:
        """Whether all boxes are between 0 and 1, which means less than a pixel."""
        return bool(self.values.max() <= 1 and self.sizes.min() > 1)

    def are_corners(self) -> bool:
        """Whether many boxes extend beyond their images, but none does if read as x1, y1, x2, y2."""
        corners = self.values
        fits = (corners[:, 2:] >= corners[:, :2]) & (corners[:, 2:] <= self.sizes + TOLERANCE)
        is_beyond = self.beyond > TOLERANCE
        return bool(is_beyond.sum() >= 3 and is_beyond.mean() > 0.1 and fits.all(axis=1).mean() > 0.99)


def _find_wrong_boxes(annotations: List[dict], images: Dict[Any, dict], faults: FaultReport) -> None:
    sizes = [(images[item['image_id']]['width'], images[item['image_id']]['height']) for item in annotations]
    boxes = Boxes(np.array([item['bbox'] for item in annotations], float), np.array(sizes, float))
    if boxes.are_fractions() or boxes.are_corners():
        faults.add_all(FRACTIONS if boxes.are_fractions() else CORNERS, annotations)
        return
    start, extent = boxes.values[:, :2], boxes.values[:, 2:]
    visible = np.minimum(start + extent, boxes.sizes) - np.maximum(start, 0)
    negative = (extent < 0).any(axis=1)
    empty = ~negative & (extent == 0).any(axis=1)
    outside = ~negative & ~empty & (visible <= 0).any(axis=1)
    small = ~negative & ~empty & ~outside & (extent < 1).any(axis=1)
    beyond = ~negative & ~empty & ~outside & (boxes.beyond > TOLERANCE)
    for kind, chosen in (
        (NEGATIVE, negative),
        (NO_AREA, empty),
        (OUTSIDE, outside),
        (SMALL, small),
        (PARTLY_OUTSIDE, beyond),
    ):
        faults.add_all(kind, (annotations[index] for index in np.flatnonzero(chosen)))
    has_area = (~negative & ~empty).tolist()
    for annotation, is_valid in zip(annotations, has_area):
        area = annotation.get('area')
        if is_valid and isinstance(area, (int, float)) and area <= 0:
            faults.add(NOT_POSITIVE, annotation)
