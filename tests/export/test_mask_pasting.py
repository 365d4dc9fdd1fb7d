"""Masks are pasted with the values of mmdet's mask head."""

import numpy as np
import pytest
import torch
from mmdet.models.roi_heads.mask_heads.fcn_mask_head import _do_paste_mask

from eca_mmdet.export.mask_pasting import paste, paste_all

BOXES = [
    [3.2, 4.7, 40.1, 30.9],
    [0, 0, 64, 48],  # the whole image
    [-5, -7, 10, 12],  # over the border
    [20, 20, 20.01, 30],  # hardly a pixel
    [20, 20, 20, 30],  # without an area
    [30.5, 10.5, 31.5, 11.5],
]


@pytest.mark.parametrize('threshold', [0.5, 0.2])
def test_pasted_masks__equal_those_of_mmdet(threshold):
    boxes = torch.tensor(BOXES)
    masks = torch.rand(len(boxes), 28, 28)
    expected = torch.zeros(len(boxes), 48, 64, dtype=torch.bool)
    for index in range(len(boxes)):  # one by one, as mmdet on a CPU
        values, area = _do_paste_mask(masks[index][None, None], boxes[index][None], 48, 64)
        expected[(index, *area)] = values[0] >= threshold
    found = paste(masks.numpy(), boxes.numpy(), (48, 64), threshold)
    assert (found != expected.numpy()).mean() < 1e-4
    assert found[:3].any((1, 2)).all()
    np.testing.assert_array_equal(paste_all(masks, boxes, 48, 64, threshold).numpy(), found)


def test_no_masks__give_an_empty_array():
    assert paste(np.zeros((0, 28, 28), np.float32), np.zeros((0, 4), np.float32), (5, 6), 0.5).shape == (
        0,
        5,
        6,
    )


def test_box_outside_the_image__has_an_empty_mask():
    masks, boxes = np.ones((1, 28, 28), np.float32), np.array([[70, 50, 80, 60]], np.float32)
    assert not paste(masks, boxes, (48, 64), 0.5).any()
