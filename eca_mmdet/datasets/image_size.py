"""Read the size of an image file from its header."""

from pathlib import Path
from typing import Tuple

from PIL import Image, UnidentifiedImageError

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')

_ORIENTATION = 0x0112
_QUARTER_TURNS = (5, 6, 7, 8)


def read_image_size(path: Path) -> Tuple[int, int]:
    """Return width and height as OpenCV loads the image: turned by the EXIF orientation.

    Raises:
        ValueError: If the file is not an image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            is_turned = image.getexif().get(_ORIENTATION) in _QUARTER_TURNS
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f'{path} cannot be read as an image: {error}') from None
    return (height, width) if is_turned else (width, height)
