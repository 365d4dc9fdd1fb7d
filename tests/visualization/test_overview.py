"""The overview of several images."""

import cv2
import numpy as np
import pytest

from eca_mmdet.visualization import write_overview


def write_image(path, shade, height, width):
    cv2.imwrite(str(path), np.full((height, width, 3), shade, np.uint8))
    return path


def test_overview__shows_the_images_in_rows(tmp_path):
    shades = (10, 60, 120)
    files = [write_image(tmp_path / f'{s}.png', s, 20 * (i + 1), 30) for i, s in enumerate(shades)]
    write_overview(files, tmp_path / 'canvas.png', columns=2, height=40)
    canvas = cv2.imread(str(tmp_path / 'canvas.png'))
    assert canvas.shape == (80, 120, 3)  # the first is scaled to 40 x 60
    assert [canvas[20, 30, 0], canvas[20, 75, 0], canvas[60, 5, 0], canvas[60, 90, 0]] == [10, 60, 120, 255]


def test_overview__rejects_missing_and_unreadable_images(tmp_path):
    with pytest.raises(ValueError, match='no images'):
        write_overview([], tmp_path / 'canvas.png')
    (tmp_path / 'x.jpg').write_text('no image')
    with pytest.raises(ValueError, match='x.jpg is not an image'):
        write_overview([tmp_path / 'x.jpg'], tmp_path / 'canvas.png')
