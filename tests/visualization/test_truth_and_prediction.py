"""Ground truth and prediction side by side."""

import numpy as np
import pytest
import torch
from mmdet.structures.mask import BitmapMasks
from mmengine.structures import InstanceData

pytest.importorskip('supervision')

from eca_mmdet.prediction.result import Result  # noqa: E402
from eca_mmdet.visualization.truth_and_prediction import truth_and_prediction, truth_of  # noqa: E402


def result(size, boxes=()):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    n = len(boxes)
    image = np.full((*size, 3), 50, np.uint8)
    return Result(
        ('cat', 'dog'),
        size,
        boxes=boxes,
        scores=np.full(n, 0.9, np.float32),
        labels=np.arange(n) % 2,
        image=image,
    )


def changed(drawing):
    """Columns with a pixel that is neither background nor the image."""
    grey = np.ptp(drawing.astype(int), axis=2) == 0
    return np.flatnonzero(~grey.all(axis=0))


def test_truth_is_on_the_left_and_prediction_on_the_right():
    nothing, box = result((400, 500)), result((400, 500), [[100, 100, 300, 300]])
    middle = 508
    assert changed(truth_and_prediction(box, nothing)).max() < middle
    assert changed(truth_and_prediction(nothing, box)).min() > middle


def test_small_images__are_enlarged_with_their_boxes():
    drawing = truth_and_prediction(None, result((100, 80), [[20, 30, 60, 70]]))
    assert drawing.shape[1] == 80 * 4 + 8
    columns = changed(drawing)
    assert abs(columns.min() - 80) <= 2
    assert abs(columns.max() - 240) <= 60  # the label may be wider than the box


def test_image_without_ground_truth__has_one_drawing():
    assert truth_and_prediction(None, result((400, 500))).shape[1] == 508


def test_ground_truth_of_mmdet__keeps_boxes_labels_and_masks():
    masks = np.zeros((1, 400, 500), np.uint8)
    masks[:, 10:20, 10:20] = 1
    instances = InstanceData(
        bboxes=torch.tensor([[10.0, 10, 20, 20]]),
        labels=torch.tensor([1]),
        masks=BitmapMasks(masks, 400, 500),
    )
    truth = truth_of(instances, result((400, 500)))
    assert truth.names == ['dog']
    assert truth.boxes.tolist() == [[10, 10, 20, 20]]
    assert truth.masks.sum() == 100
