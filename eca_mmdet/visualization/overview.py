"""Several pictures of predictions on one sheet."""

from pathlib import Path
from typing import Sequence, Union

import cv2
import numpy as np


def write_overview(
    pictures: Sequence[Union[str, Path]], target: Union[str, Path], columns: int = 2, height: int = 256
) -> None:
    """Put pictures on one sheet, row by row.

    Args:
        pictures: Image files, in the order to show them.
        target: Image file to write.
        columns: Pictures in a row.
        height: Height of each in pixels; the width is that of the widest at this height.

    Raises:
        ValueError: If there is no picture, or one cannot be read.
        OSError: If ``target`` cannot be written.
    """
    if not pictures:
        raise ValueError('no pictures to put on an overview')
    images = []
    for path in pictures:
        image = cv2.imread(str(path))
        if image is None:
            raise ValueError(f'{path} is not an image')
        scale = height / image.shape[0]
        images.append(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)[:height])
    width = max(image.shape[1] for image in images)
    rows = -(-len(images) // columns)
    sheet = np.full((rows * height, columns * width, 3), 255, np.uint8)
    for index, image in enumerate(images):
        y, x = index // columns * height, index % columns * width
        sheet[y : y + image.shape[0], x : x + image.shape[1]] = image
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(target), sheet, [cv2.IMWRITE_JPEG_QUALITY, 90]):
        raise OSError(f'cannot write {target}')
