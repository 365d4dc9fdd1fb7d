"""Details of a COCO evaluation: curves, values of classes, confusion matrix and drawn images."""

import copy
import json

import cv2
import numpy as np
import pytest
from coco_examples import evaluate

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation import FastCocoMetric
from eca_mmdet.evaluation.coco_details import CocoResults, coco_details
from eca_mmdet.evaluation.object_examples import draw_outcomes


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    truth, predictions = random_coco(8, classes=4, per_image=10, seed=5)
    path = tmp_path_factory.mktemp('coco') / 'truth.json'
    path.write_text(json.dumps(truth))
    return str(path), truth, predictions


@pytest.fixture(scope='module')
def evaluated(data):
    """The results of boxes and masks, and their details."""
    metric = FastCocoMetric(data[0], metric=['bbox', 'segm'], classwise=True)
    metric.keep_details = True
    found = evaluate(metric, *data[1:])
    return found, metric.evaluation_details(with_examples=False)


def test_area_under_a_curve__is_the_ap_of_its_iou(evaluated):
    found, details = evaluated
    assert [item.title for item in details] == ['bbox', 'segm']
    for item in details:
        mean = {iou: np.mean(values) for iou, values in item.curves.mean.items()}
        assert mean['0.50'] == pytest.approx(found[f'coco/{item.title}_mAP_50'], abs=6e-4)
        assert mean['0.75'] == pytest.approx(found[f'coco/{item.title}_mAP_75'], abs=6e-4)
        assert mean['0.50:0.95'] == pytest.approx(found[f'coco/{item.title}_mAP'], abs=6e-4)


def test_ap_of_the_classes__is_that_of_the_metric(data, evaluated):
    metric = FastCocoMetric(data[0], metric='segm', classwise=True)
    expected = evaluate(metric, *data[1:])
    for name, row in evaluated[1][1].classes.items():
        value = expected[f'coco/{name}_precision']
        assert row['AP'] == (None if np.isnan(value) else pytest.approx(value, abs=6e-4))


def test_confusion_matrix__counts_every_object_and_every_certain_detection_once(data, evaluated):
    _, truth, predictions = data
    detections = sum(int((item['scores'] >= 0.3).sum()) for item in predictions)
    is_crowd = [item.get('iscrowd') or item.get('ignore') for item in truth['annotations']]
    for item in evaluated[1]:
        counts = np.array(item.confusion.counts)
        assert counts[:-1].sum() == is_crowd.count(0) + is_crowd.count(None)
        on_crowds = detections - counts[:, :-1].sum()
        assert 0 <= on_crowds <= sum(map(bool, is_crowd)) * 3
        assert counts[-1, -1] == 0


def test_perfect_detections__are_on_the_diagonal(data):
    path, truth, predictions = data
    label_of = {category['id']: label for label, category in enumerate(truth['categories'])}
    perfect = []
    for prediction in predictions:
        objects = [
            item
            for item in truth['annotations']
            if item['image_id'] == prediction['img_id'] and not item.get('iscrowd')
        ]
        boxes = np.array([item['bbox'] for item in objects], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        labels = np.array([label_of[item['category_id']] for item in objects])
        scores = np.full(len(objects), 0.9, np.float32)
        masks = prediction['masks'][:1] * len(objects)
        perfect.append(dict(prediction, bboxes=boxes, labels=labels, scores=scores, masks=masks))
    metric = FastCocoMetric(path, metric='bbox')
    metric.keep_details = True
    evaluate(metric, truth, [item for item in perfect if len(item['labels'])])
    (details,) = metric.evaluation_details(with_examples=False)
    counts = np.array(details.confusion.counts)
    found = np.diag(counts)[:-1]
    assert found.sum() > 50
    assert (counts[:, :-1].sum(axis=0) == found).all()


def test_details__are_computed_once_and_only_if_asked_for(data):
    metric = FastCocoMetric(data[0], metric='bbox')
    evaluate(metric, *data[1:])
    assert metric.evaluation_details() == []
    metric.keep_details = True
    evaluate(metric, *data[1:])
    assert len(metric.evaluation_details(False)) == 1
    assert metric.evaluation_details(False) == []


def test_details__do_not_change_the_results(data):
    metrics = [FastCocoMetric(data[0], metric=['bbox', 'segm']) for _ in range(2)]
    metrics[0].keep_details = True
    assert evaluate(metrics[0], *data[1:]) == evaluate(metrics[1], *data[1:])


def test_examples__are_drawn_best_first_and_worst_first(data, tmp_path):
    metric = FastCocoMetric(data[0], metric='segm')
    metric.keep_details = True
    evaluate(metric, *data[1:])
    (kept,) = metric._kept
    predictions = []
    for index, prediction in enumerate(kept.predictions):
        path = tmp_path / f'{index}.png'
        cv2.imwrite(str(path), np.full((480, 640, 3), 128, np.uint8))
        predictions.append({**copy.copy(prediction), 'img_path': str(path)})
    details = coco_details(CocoResults(**{**vars(kept), 'predictions': predictions}), with_examples=True)
    values = {
        group: [float(item.caption.split()[1][:-1]) for item in details.examples if item.group == group]
        for group in ('best', 'worst')
    }
    assert len(values['best']) == len(values['worst']) == 4
    assert values['best'] == sorted(values['best'], reverse=True)
    assert values['worst'] == sorted(values['worst'])
    assert min(values['best']) >= max(values['worst'])
    assert [title for title, _ in details.examples[0].pictures] == ['ground truth', 'prediction']


def test_unreadable_images__only_leave_the_examples_out(data, mmengine_log):
    metric = FastCocoMetric(data[0], metric='segm')
    metric.keep_details = True
    evaluate(metric, *data[1:])
    (kept,) = metric._kept
    kept.predictions = [{**item, 'img_path': 'nowhere.jpg'} for item in kept.predictions]
    details = coco_details(kept, with_examples=True)
    assert details.examples == []
    assert details.confusion.counts


def test_drawing__has_the_colour_of_the_outcome():
    image = np.zeros((60, 60, 3), np.uint8)
    for outcome, channel in ((0, 1), (2, 2)):  # green, red in BGR
        drawn = draw_outcomes(image, np.array([[10.0, 10, 40, 40]]), None, np.array([outcome]), ['cat'])
        assert drawn[10, 20].argmax() == channel
    assert image.max() == 0
