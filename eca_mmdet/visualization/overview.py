"""Combine several images into one overview image."""

from pathlib import Path
from typing import Sequence, Union

import cv2
import numpy as np


def write_overview(
    paths: Sequence[Union[str, Path]], target: Union[str, Path], columns: int = 2, height: int = 384
) -> None:
    """Write an image that shows several images in rows.

    Args:
        paths: Image files, in the order in which they are shown.
        target: Image file to write.
        columns: Number of images per row.
        height: Height of each image in pixels. All columns are as wide as the widest resized image.

    Raises:
        ValueError: If ``paths`` is empty or a file cannot be read as an image.
        OSError: If ``target`` cannot be written.
    """
    if not paths:
        raise ValueError('no images to show on an overview')
    images = []
    for path in paths:
        image = cv2.imread(str(path))
        if image is None:
            raise ValueError(f'{path} is not an image')
        scale = height / image.shape[0]
        images.append(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height])
    width = max(image.shape[1] for image in images)
    rows = -(-len(images) // columns)
    canvas = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for index, image in enumerate(images):
        y, x = index // columns * height, index % columns * width
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(target), canvas, [cv2.IMWRITE_JPEG_QUALITY, 90]):
        raise OSError(f'cannot write {target}')
