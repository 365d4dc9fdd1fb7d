"""Compare image files with the sizes that an annotation file states. Only their headers are read."""

import os
import warnings
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, Iterator, List, Optional, Tuple

import cv2
import numpy as np
from PIL import ExifTags, Image

from .fault_report import FaultReport, Kind

EMPTY_FILE = Kind('images whose file is empty', remedy='copy the file again')
NOT_AN_IMAGE = Kind('images whose file is not an image', remedy='copy the file again, or convert it to JPEG')
OTHER_SIZE = Kind(
    'images whose size differs from the annotation file',
    remedy='boxes and masks are in pixels of the original image: use the original images, or scale the '
    'annotations and correct width and height',
)
SWAPPED = Kind('images whose width and height are swapped', remedy='correct width and height of the image')
TURNED = Kind(
    'images that are turned by their EXIF orientation',
    remedy='the annotations are for the image as it is stored. Training turns it: remove the orientation '
    'with\n        mogrify -strip IMAGE',
)
_SAMPLE = 16
"""Number of images whose headers are read before a training."""


@contextmanager
def any_image_size() -> Iterator[None]:
    """Let Pillow open images of any size, without a warning."""
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about unusual metadata
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def size_fault(image: Image.Image, record: dict, uses_orientation: bool = True) -> Optional[Kind]:
    """Compare the size of an opened image with its record in the annotation file.

    Args:
        image: The image.
        record: Its record, with ``width`` and ``height``.
        uses_orientation: Whether the run turns images by their EXIF orientation, as mmcv does by default.
    """
    stated, stored = (record['width'], record['height']), image.size
    is_turned = uses_orientation and _orientation(image) >= 5  # by 90 degrees
    read = stored[::-1] if is_turned else stored
    if stated == read:
        return None
    if is_turned and stated == stored:
        return TURNED
    return SWAPPED if stated == read[::-1] else OTHER_SIZE


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged metadata raises errors of many kinds
        return 1
    return value if isinstance(value, int) else 1


def open_image(data: bytes) -> Tuple[Optional[Image.Image], Optional[Kind]]:
    """Open an image; return it, or the fault that prevents it. Neither if only OpenCV can read it."""
    if not data:
        return None, EMPTY_FILE
    try:
        return Image.open(BytesIO(data)), None
    except Exception:  # plugins of Pillow raise errors of many kinds on damaged headers
        return None, None if opencv_reads(data) else NOT_AN_IMAGE


def opencv_reads(data: bytes) -> bool:
    """Whether OpenCV, which mmcv uses, can decode an image."""
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:
        return False


def check_headers(folder: str, records: List[Any], ann_file: Path, uses_orientation: bool = True) -> None:
    """Check that a sample of the images has the sizes of the annotation file.

    Args:
        folder: The image folder.
        records: The records of existing images.
        ann_file: The annotation file, for messages.
        uses_orientation: Whether the run turns images by their EXIF orientation.

    Raises:
        DataFault: If a file is empty or not an image, or if its size differs.
    """
    faults = FaultReport(ann_file)
    with any_image_size():
        for record in records[:: max(1, len(records) // _SAMPLE)][:_SAMPLE]:
            path = Path(os.path.join(folder, record['file_name']))
            if path.is_file():
                kind = _header_fault(path, record, uses_orientation)
                if kind:
                    faults.add(kind, str(path))
    faults.raise_if_any()


def _header_fault(path: Path, record: dict, uses_orientation: bool) -> Optional[Kind]:
    image, fault = open_image(path.read_bytes())
    return fault if image is None else size_fault(image, record, uses_orientation)
