"""Captions above images."""

import numpy as np
import pytest

from eca_mmdet.visualization.captions import add_caption


@pytest.mark.parametrize('shape', [(40, 60, 3), (480, 640, 3), (500, 30, 3)])
def test_caption__stands_above_the_image_and_fits(shape):
    image = np.full(shape, 100, np.uint8)
    captioned = add_caption(image, 'ground truth')
    strip, rest = np.split(captioned, [len(captioned) - shape[0]])
    assert np.array_equal(rest, image)
    assert strip.min() < 128  # the text
    assert (strip[:, -2:] == 255).all()  # it is not cut off on the right
    assert (strip[-1] == 255).all()


def test_captions_of_two_texts__have_the_same_height():
    image = np.zeros((40, 60, 3), np.uint8)
    assert add_caption(image, 'a').shape == add_caption(image, 'a longer text').shape
