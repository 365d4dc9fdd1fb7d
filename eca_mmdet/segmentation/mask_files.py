"""Read a sample of masks as mmseg does, and count their values."""

from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import mmcv
import numpy as np
from PIL import Image

SAMPLE = 100
"""Number of masks that are read. The largest of mmseg's (2048 x 1024) take 20 ms each."""
_SWAPPED = (5, 6, 7, 8)  # EXIF orientations that swap width and height
_ORIENTATION = 0x0112


class MaskSample(NamedTuple):
    """Values of a sample of masks.

    Args:
        pixels: Number of pixels of each value.
        is_complete: Whether all masks of the dataset were read.
    """

    pixels: Dict[int, int]
    is_complete: bool


def read_sample(pairs: List[Tuple[str, str]], key: str, backend: str, compare_sizes: bool) -> MaskSample:
    """Read masks that are evenly spread over a dataset.

    Args:
        pairs: Paths of image and mask.
        key: Name of the dataset in the config, for messages.
        backend: ``imdecode_backend`` of ``LoadAnnotations``.
        compare_sizes: Whether each mask must have the size of its image file.

    Raises:
        ValueError: If a file cannot be read, or a mask has several channels, 16-bit values or another size.
    """
    chosen = pairs if len(pairs) <= SAMPLE else [pairs[i * len(pairs) // SAMPLE] for i in range(SAMPLE)]
    counts = np.zeros(256, np.int64)
    for image, mask in chosen:
        labels = _read_labels(mask, key, backend)
        counts += np.bincount(labels.ravel(), minlength=256)
        if compare_sizes and _image_size(image) != labels.shape:
            height, width = labels.shape
            expected = _image_size(image)
            raise ValueError(
                f'{mask} of {key} has {width} x {height} pixels, but its image {image} has '
                f'{expected[1]} x {expected[0]}. Write masks of the size of their images'
            )
    pixels = {int(value): int(counts[value]) for value in np.flatnonzero(counts)}
    return MaskSample(pixels, len(chosen) == len(pairs))


def _read_labels(path: str, key: str, backend: str) -> np.ndarray:
    try:
        content = mmcv.imfrombytes(Path(path).read_bytes(), flag='unchanged', backend=backend)
    except (OSError, ValueError, SyntaxError) as error:  # PIL raises SyntaxError for a damaged PNG
        raise ValueError(f'{path} of {key} cannot be read as a mask: {error}') from None
    if content is None:
        raise ValueError(f'{path} of {key} cannot be read as a mask')
    labels = content.squeeze()
    if labels.ndim != 2:
        palette = ' (LoadAnnotations reads palette images correctly with imdecode_backend="pillow")'
        raise ValueError(
            f'{path} of {key} has {labels.shape[-1]} channels. A mask has one channel with the number of the '
            f'class of each pixel, not its colour{palette if backend != "pillow" else ""}. Convert the masks'
        )
    if labels.max(initial=0) > 255 or labels.min(initial=0) < 0:
        raise ValueError(
            f'{path} of {key} has values up to {labels.max()}, which mmseg cuts to 8 bits. Write masks with '
            'values from 0 to 255'
        )
    return labels.astype(np.uint8)


def _image_size(path: str) -> Tuple[int, int]:
    """Return height and width of an image as mmcv reads it, from the header of the file."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            is_swapped = image.getexif().get(_ORIENTATION) in _SWAPPED
    except (OSError, ValueError, SyntaxError) as error:
        raise ValueError(f'{path} cannot be read as an image: {error}') from None
    return (width, height) if is_swapped else (height, width)
