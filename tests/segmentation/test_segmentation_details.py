"""Details of a segmentation for the report."""

import cv2
import numpy as np
import pytest
import torch

pytest.importorskip('mmseg')

from eca_mmdet.segmentation import SegmentationMetric  # noqa: E402

META = dict(classes=('sky', 'road', 'car'), palette=[[0, 0, 255], [90, 90, 90], [255, 0, 0]])
IGNORED = 255


def sample(truth, predicted, path=''):
    fields = dict(gt_sem_seg=truth, pred_sem_seg=predicted)
    return dict(img_path=path, **{name: dict(data=torch.as_tensor(v)[None]) for name, v in fields.items()})


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    truths = rng.choice([0, 1, 2, IGNORED], (4, 20, 30))
    predictions = np.where(rng.random((4, 20, 30)) < np.array([0.9, 0.2, 0.6, 0.4])[:, None, None], truths, 1)
    return truths, np.where(predictions == IGNORED, 0, predictions)


def evaluated(maps, paths, keep=True):
    metric = SegmentationMetric(iou_metrics=['mIoU'])
    metric.dataset_meta, metric.keep_details = META, keep
    for truth, predicted, path in zip(*maps, paths):
        metric.process({}, [sample(truth, predicted, path)])
    return metric.evaluate(len(paths)), metric


def test_confusion_matrix__counts_labelled_pixels(maps):
    _, metric = evaluated(maps, [''] * 4)
    (details,) = metric.evaluation_details()
    expected = [[((maps[0] == t) & (maps[1] == p)).sum() for p in range(3)] for t in range(3)]
    assert details.confusion.counts == np.array(expected).tolist()
    assert list(details.classes) == list(META['classes'])


def test_examples__are_sorted_by_the_iou_of_the_image(maps, tmp_path):
    paths = [str(tmp_path / f'{index}.png') for index in range(4)]
    for path in paths:
        cv2.imwrite(path, np.full((20, 30, 3), 100, np.uint8))
    _, metric = evaluated(maps, paths)
    (details,) = metric.evaluation_details()
    assert [(item.group, item.name) for item in details.examples] == [
        ('best', '0.png'),
        ('best', '2.png'),
        ('worst', '1.png'),
        ('worst', '3.png'),
    ]


def test_details__do_not_change_the_results(maps):
    assert evaluated(maps, [''] * 4, keep=True)[0] == evaluated(maps, [''] * 4, keep=False)[0]


def test_details__are_empty_unless_asked_for(maps):
    assert evaluated(maps, [''] * 4, keep=False)[1].evaluation_details() == []
