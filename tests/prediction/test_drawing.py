"""Drawings of predictions: which objects get labels, masks and colours."""

import cv2
import numpy as np
import pytest

pytest.importorskip('supervision')

from eca_mmdet.prediction.drawing import COLORS, DENSE, draw  # noqa: E402
from eca_mmdet.prediction.result import Result  # noqa: E402

SIZE = (400, 600)
BLACK_TEXT = 40  # the text of labels is darker than this, on a bright colour


def result(boxes, masks=None, labels=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    count = len(boxes)
    labels = np.zeros(count, np.int64) if labels is None else np.array(labels)
    image = np.full((*SIZE, 3), 128, np.uint8)
    scores = np.full(count, 0.9, np.float32)
    return Result(('cat', 'dog'), SIZE, boxes=boxes, scores=scores, labels=labels, masks=masks, image=image)


def has_label(drawing):
    return bool((drawing.max(axis=2) < BLACK_TEXT).any())


def test_large_object__gets_a_label_and_a_small_one_does_not():
    assert has_label(draw(result([[100, 100, 300, 300]])))
    assert not has_label(draw(result([[100, 100, 115, 115]])))


def test_dense_objects__get_no_labels():
    x = np.linspace(10, 400, DENSE + 1)
    boxes = np.stack([x, x * 0 + 100, x + 100, x * 0 + 250], axis=1)
    assert has_label(draw(result(boxes[:-1])))
    assert not has_label(draw(result(boxes)))


def test_masks__are_tinted_in_the_colour_of_their_class():
    mask = np.zeros((1, *SIZE), bool)
    mask[0, 150:200, 150:200] = True
    inside = draw(result([[100, 100, 300, 300]], mask, [1]))[175, 175].astype(int)
    red, green, blue = (int(COLORS[1][i : i + 2], 16) for i in (1, 3, 5))
    expected = 0.6 * 128 + 0.4 * np.array([blue, green, red])
    assert np.abs(inside - expected).max() <= 2


def test_classes__have_their_own_colours():
    drawing = draw(result([[20, 100, 120, 110], [300, 100, 420, 110]], labels=[0, 1]))
    assert not np.array_equal(drawing[105, 20], drawing[105, 300])


def test_image__is_not_changed():
    found = result([[100, 100, 300, 300]])
    before = found.image.copy()
    draw(found)
    assert np.array_equal(found.image, before)


def test_nothing_found__gives_the_image():
    found = result([])
    assert np.array_equal(draw(found), found.image)


def test_segmentation__is_blended_with_the_image():
    found = result([])
    found.segmentation = np.zeros(SIZE, np.int64)
    found.segmentation[:, 300:] = 1
    drawing = draw(found)
    assert not np.array_equal(drawing[0, 0], drawing[0, 599])


def test_classifier__writes_its_class(tmp_path):
    found = result([])
    found.probabilities = np.array([0.2, 0.8], np.float32)
    drawing = draw(found)
    assert (drawing[:10] > 200).any()
    assert cv2.imwrite(str(tmp_path / 'x.png'), drawing)


def test_missing_image__says_what_to_do():
    found = result([])
    found.image = None
    with pytest.raises(ValueError, match=r'set result\.image'):
        draw(found)
