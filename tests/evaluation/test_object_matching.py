"""Matching of detections to objects."""

import contextlib
import io

import numpy as np
import pytest
from mmdet.datasets.api_wrappers import COCO, COCOeval
from pycocotools import mask as rle

from eca_mmdet.evaluation.object_matching import IGNORED, NOTHING, match_objects


def match(ious, detected, labels, crowd=None):
    crowd = np.zeros(len(labels), bool) if crowd is None else np.array(crowd)
    ious = np.array(ious, float).reshape(len(detected), len(labels))
    return match_objects(ious, np.array(detected, int), np.array(labels, int), crowd, 0.5)


def test_second_detection_of_an_object__is_false():
    found = match([[0.9], [0.8]], [0, 0], [0])
    assert (found.correct, found.false, found.missed) == (1, 1, 0)
    assert found.truth.tolist() == [0, NOTHING]


def test_class_of_the_object__comes_before_a_higher_score():
    found = match([[0.9], [0.6]], [1, 0], [0])
    assert found.truth.tolist() == [NOTHING, 0]
    assert found.correct == 1


def test_object_of_another_class__is_confused_and_missed():
    found = match([[0.9]], [1], [0])
    assert found.truth.tolist() == [0]
    assert (found.correct, found.false, found.missed) == (0, 1, 1)


def test_detection_on_a_crowd__counts_for_nothing():
    found = match([[0.9], [0.8]], [0, 0], [0], [True])
    assert found.truth.tolist() == [IGNORED, IGNORED]
    assert (found.correct, found.false, found.missed) == (0, 0, 0)
    assert np.isnan(found.f1)


@pytest.mark.parametrize(('detected', 'labels', 'f1'), [([], [0], 0.0), ([0], [], 0.0)])
def test_f1__is_zero_if_only_objects_or_only_detections_exist(detected, labels, f1):
    assert match(np.zeros((len(detected), len(labels))), detected, labels).f1 == f1


def random_boxes(rng, count):
    start, size = rng.uniform(0, 60, (count, 2)), rng.uniform(10, 50, (count, 2))
    return np.concatenate([start, size], axis=1)


def coco_correct(boxes, labels, found, detected, scores):
    """Count the correct detections at IoU 0.5 with pycocotools."""
    image = dict(id=1, width=200, height=200)
    truth, categories = [], [dict(id=index, name=str(index)) for index in range(3)]
    for index, (box, label) in enumerate(zip(boxes.tolist(), labels.tolist())):
        area = box[2] * box[3]
        truth.append(dict(id=index + 1, image_id=1, category_id=label, bbox=box, area=area, iscrowd=0))
    detections = [
        dict(image_id=1, category_id=label, bbox=box, score=score)
        for box, label, score in zip(found.tolist(), detected.tolist(), scores.tolist())
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = dict(images=[image], annotations=truth, categories=categories)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), 'bbox')
        evaluation.params.iouThrs, evaluation.params.areaRng = np.array([0.5]), [[0, 1e10]]
        evaluation.params.areaRngLbl = ['all']
        evaluation.evaluate()
    return sum(int((item['dtMatches'] > 0).sum()) for item in evaluation.evalImgs if item)


@pytest.mark.parametrize('seed', range(20))
def test_correct_detections__are_those_of_pycocotools(seed):
    rng = np.random.default_rng(seed)
    boxes, labels = random_boxes(rng, 8), rng.integers(0, 3, 8)
    near = boxes[rng.integers(0, 8, 10)] + rng.normal(0, 4, (10, 4))
    found, detected = np.concatenate([near, random_boxes(rng, 4)]), rng.integers(0, 3, 14)
    scores = np.sort(rng.uniform(0.3, 1, 14))[::-1]
    result = match(rle.iou(found, boxes, [0] * 8), detected, labels)
    assert result.correct == coco_correct(boxes, labels, found, detected, scores)
    assert result.missed == 8 - result.correct
    assert result.false == 14 - result.correct
