"""Drawings of image, ground truth and prediction: nothing is cut off, colours are those of the classes."""

import numpy as np
import pytest

pytest.importorskip('mmseg')

from eca_mmdet.segmentation.side_by_side import side_by_side  # noqa: E402
from eca_mmdet.visualization.captions import add_caption  # noqa: E402

CLASSES = ('road', 'car', 'a class with a name that is wider than the drawing')
PALETTE = [[200, 0, 0], [0, 200, 0], [0, 0, 200]]
TOP = len(add_caption(np.zeros((40, 60, 3), np.uint8), 'image')) - 40


@pytest.fixture
def image():
    return np.full((40, 60, 3), 100, np.uint8)


def labels(value, shape=(40, 60)):
    return np.full(shape, value)


def panel(drawing, index):
    return drawing[TOP : TOP + 40, index * 66 : index * 66 + 60]


def test_panels__show_image_ground_truth_and_prediction(image):
    drawing = side_by_side(image, {'ground truth': labels(0), 'prediction': labels(1)}, CLASSES, PALETTE)
    assert np.array_equal(panel(drawing, 0), image)
    for index, colour in ((1, PALETTE[0]), (2, PALETTE[1])):
        expected = (0.35 * 100 + 0.65 * np.array(colour)).astype(int)
        assert np.abs(panel(drawing, index).astype(int) - expected).max() <= 1


def test_ignored_pixels__are_dark_and_in_the_legend(image):
    drawing = side_by_side(image, {'prediction': labels(255)}, CLASSES, PALETTE)
    assert np.abs(panel(drawing, 1).astype(int) - 35).max() <= 1
    assert len(drawing) > TOP + 40  # the legend has a row


def test_missing_ground_truth__is_left_out(image):
    maps = {'ground truth': None, 'prediction': labels(0)}
    assert side_by_side(image, maps, CLASSES, PALETTE).shape[1] == 60 + 6 + 60 + 6


def test_maps_of_another_size__are_resized(image):
    drawing = side_by_side(image, {'prediction': labels(1, (20, 30))}, CLASSES, PALETTE)
    assert np.abs(panel(drawing, 1).astype(int) - panel(drawing, 1)[0, 0]).max() == 0


@pytest.mark.parametrize('value', [0, 2])
def test_legend__shows_the_colours_of_the_classes_that_occur(image, value):
    drawing = side_by_side(image, {'prediction': labels(value)}, CLASSES, PALETTE)
    legend = drawing[TOP + 40 :].reshape(-1, 3).tolist()
    assert [PALETTE[i] in legend for i in range(3)] == [i == value for i in range(3)]


def test_drawing__becomes_wider_for_a_long_name(image):
    drawing = side_by_side(image, {'prediction': labels(2)}, CLASSES, PALETTE)
    assert drawing.shape[1] > 132
    assert (drawing[:, -4:] == 255).all()  # the text ends before the edge
    assert np.array_equal(panel(drawing, 0), image)
