import cv2
import numpy as np
import pytest

from eca_mmdet.visualization import write_overview


def picture(path, shade, height, width):
    cv2.imwrite(str(path), np.full((height, width, 3), shade, np.uint8))
    return path


def test_overview__shows_each_picture_once_in_its_place(tmp_path):
    shades = (10, 60, 120)
    files = [picture(tmp_path / f'{s}.png', s, 20 * (i + 1), 30) for i, s in enumerate(shades)]
    write_overview(files, tmp_path / 'sheet.png', columns=2, height=40)
    sheet = cv2.imread(str(tmp_path / 'sheet.png'))
    assert sheet.shape == (80, 120, 3)  # the first is scaled to 40 x 60
    assert [sheet[20, 30, 0], sheet[20, 75, 0], sheet[60, 5, 0], sheet[60, 90, 0]] == [10, 60, 120, 255]


def test_overview__names_what_it_cannot_show(tmp_path):
    with pytest.raises(ValueError, match='no pictures'):
        write_overview([], tmp_path / 'sheet.png')
    (tmp_path / 'x.jpg').write_text('no image')
    with pytest.raises(ValueError, match='x.jpg is not an image'):
        write_overview([tmp_path / 'x.jpg'], tmp_path / 'sheet.png')
