"""Decode the image files of a dataset, and find damaged and unusual ones."""

import os
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence

import numpy as np
from mmengine.utils import ProgressBar
from PIL import Image, ImageOps

from ..fault_report import WARNING, FaultReport, Kind
from ..image_checks import missing_files
from ..image_headers import any_image_size, open_image, opencv_reads, size_fault

MISSING = Kind('images not found', remedy='name the image folder, or copy the missing files into it')
UNREADABLE = Kind('images whose file cannot be read', remedy='check the permissions and the disk')
DAMAGED = Kind('images that are truncated or damaged', remedy='copy the file again')
UNSUPPORTED = Kind('images that OpenCV cannot read', remedy='convert them to JPEG or PNG')
DEEP = Kind(
    'images with more than 8 bits per channel',
    WARNING,
    'training keeps the upper 8 bits, which may be black: convert the brightness that you need to 8 bits',
)
CMYK = Kind(
    'images with CMYK colors', WARNING, 'libraries convert them to different colors: save them as RGB'
)
TRANSPARENT = Kind(
    'images with transparent pixels',
    WARNING,
    'training ignores transparency and sees the colors below: save them as RGB',
)
THUMBNAIL = 32
_WELL_KNOWN = {'BMP', 'JPEG', 'MPO', 'PNG'}
"""Formats that OpenCV always reads. Files in other formats are decoded with OpenCV as well."""
_MAX_THREADS = 8


class ImageFacts(NamedTuple):
    """What is known about an image file.

    Args:
        path: The file.
        faults: What is wrong with it.
        digest: The hash of its bytes. Empty if it cannot be read.
        thumbnail: ``(32, 32)`` uint8, grey, or ``None`` if it cannot be decoded.
    """

    path: str
    faults: Sequence[Kind] = ()
    digest: bytes = b''
    thumbnail: Optional[np.ndarray] = None


def inspect_images(
    folder: str, records: List[dict], faults: FaultReport, uses_orientation: bool = True
) -> List[ImageFacts]:
    """Decode all images of an annotation file, in several threads and with a progress bar.

    Args:
        folder: The image folder.
        records: The records of the images.
        faults: Receives what is found.
        uses_orientation: Whether training turns images by their EXIF orientation.

    Returns:
        The facts of each image.
    """
    progress = ProgressBar(len(records))
    threads = min(os.cpu_count() or 1, _MAX_THREADS)
    missing = set(missing_files(folder, [record['file_name'] for record in records]))
    found: List[ImageFacts] = []

    def inspect(record: dict) -> ImageFacts:
        path = os.path.join(folder, record['file_name'])
        return ImageFacts(path, [MISSING]) if path in missing else _inspect(path, record, uses_orientation)

    with any_image_size(), ThreadPoolExecutor(threads) as pool:
        for facts in pool.map(inspect, records):
            for kind in facts.faults:
                faults.add(kind, facts.path)
            found.append(facts)
            progress.update()
    progress.file.write('\n')
    return found


def _inspect(path: str, record: dict, uses_orientation: bool) -> ImageFacts:
    try:
        data = Path(path).read_bytes()
    except OSError:
        return ImageFacts(path, [UNREADABLE])
    image, fault = open_image(data)
    if image is None:
        return ImageFacts(path, [fault] if fault else [])
    found = _format_faults(image, data)
    size = size_fault(image, record, uses_orientation)
    if size:
        found.append(size)
    try:
        image.draft('L', (2 * THUMBNAIL, 2 * THUMBNAIL))  # decodes JPEG faster, at a lower resolution
        image.load()
        if _has_transparent_pixels(image):
            found.append(TRANSPARENT)
        thumbnail = _thumbnail(image)
    except Exception:  # decoders of Pillow raise errors of many kinds
        return ImageFacts(path, [*found, DAMAGED])
    if image.format not in _WELL_KNOWN and not opencv_reads(data):
        found.append(UNSUPPORTED)
    return ImageFacts(path, found, blake2b(data, digest_size=16).digest(), thumbnail)


def _format_faults(image: Image.Image, data: bytes) -> List[Kind]:
    """Find unusual pixel formats in the header."""
    is_png = image.format == 'PNG'
    depth = data[24] if is_png and len(data) > 24 else 8  # Pillow reads 16-bit colors of PNG files as 8-bit
    is_deep = depth > 8 or image.mode.startswith('I') or image.mode == 'F'
    return [*([DEEP] if is_deep else []), *([CMYK] if image.mode == 'CMYK' else [])]


def _has_transparent_pixels(image: Image.Image) -> bool:
    if image.mode not in ('RGBA', 'LA', 'PA') and 'transparency' not in image.info:
        return False
    lowest, _ = image.convert('RGBA').getchannel('A').getextrema()
    return isinstance(lowest, (int, float)) and lowest < 255


def _thumbnail(image: Image.Image) -> np.ndarray:
    """Return a grey image ``(32, 32)``, uint8, turned by the EXIF orientation."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith('I') or image.mode == 'F':
        pixels = np.asarray(image, np.float32)
        pixels = (pixels - pixels.min()) / max(float(np.ptp(pixels)), 1e-6) * 255
        image = Image.fromarray(pixels.astype(np.uint8))
    size = (THUMBNAIL, THUMBNAIL)
    return np.asarray(image.convert('L').resize(size, Image.Resampling.BOX), np.uint8)
