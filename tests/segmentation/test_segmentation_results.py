"""Results of each class: values, table, JSON, predictions."""

import numpy as np
import pytest
import torch

pytest.importorskip('mmseg')

from mmengine.fileio import load  # noqa: E402
from mmengine.logging import MessageHub  # noqa: E402

from eca_mmdet.segmentation import DumpSegmentation, SegmentationMetric  # noqa: E402
from eca_mmdet.segmentation.segmentation_metric import PER_CLASS  # noqa: E402
from eca_mmdet.segmentation.segmentation_results import explain_poor, segmentation_table  # noqa: E402

CLASSES = ('sky', 'road', 'car', 'bus')


@pytest.fixture
def maps():
    rng = np.random.default_rng(0)
    truth, prediction = rng.integers(0, 3, (2, 5, 20, 30))  # no bus
    truth[:, :2] = 255
    return truth, prediction


def evaluated(maps, **options):
    metric = SegmentationMetric(**options)
    metric.dataset_meta = dict(classes=CLASSES)
    samples = [
        dict(
            pred_sem_seg=dict(data=torch.from_numpy(p)[None]),
            gt_sem_seg=dict(data=torch.from_numpy(t)[None]),
            img_path=f'{i}.jpg',
        )
        for i, (t, p) in enumerate(zip(*maps))
    ]
    metric.process({}, samples)
    return metric.evaluate(len(samples)), MessageHub.get_current_instance().runtime_info[PER_CLASS]


def reference(maps):
    """IoU and accuracy of each class, counted pixel by pixel."""
    pairs = [(t, p) for t, p in zip(maps[0].ravel(), maps[1].ravel()) if t != 255]
    rows = {}
    for label, name in enumerate(CLASSES):
        hit = sum(t == p == label for t, p in pairs)
        union = sum(label in pair for pair in pairs)
        own = sum(t == label for t, _ in pairs)
        rows[name] = (hit / union, hit / own) if union else (None, None)
    return rows, sum(t == p for t, p in pairs) / len(pairs)


def test_metric__counts_the_pixels_of_each_class(maps):
    metrics, per_class = evaluated(maps)
    rows, accuracy = reference(maps)
    assert list(per_class) == list(CLASSES)
    for name, (iou, acc) in rows.items():
        assert per_class[name] == (
            dict(IoU=None, Acc=None) if iou is None else pytest.approx(dict(IoU=iou, Acc=acc))
        )
    found = [row for row in rows.values() if row[0] is not None]
    assert metrics == pytest.approx(
        dict(mIoU=np.mean([iou for iou, _ in found]), mAcc=np.mean([acc for _, acc in found]), aAcc=accuracy)
    )


def test_metric__equals_that_of_mmseg_in_percent(maps, monkeypatch):
    from mmseg.evaluation import IoUMetric

    metrics, _ = evaluated(maps, iou_metrics=['mIoU', 'mDice', 'mFscore'])
    monkeypatch.setattr(SegmentationMetric, 'compute_metrics', IoUMetric.compute_metrics)
    theirs, _ = evaluated(maps, iou_metrics=['mIoU', 'mDice', 'mFscore'])
    assert set(theirs) == set(metrics)
    for name, value in theirs.items():
        assert 100 * metrics[name] == pytest.approx(value, abs=0.0051), name  # mmseg rounds to two digits


def test_metric__counts_more_pixels_than_float32_can():
    """mmseg sums areas in float32, which cannot count beyond 16,777,216 in steps of one."""
    metric = SegmentationMetric(log_classes=False)
    metric.dataset_meta = dict(classes=('a', 'b'))
    big = torch.tensor([2.0**24, 0])
    one = torch.tensor([1.0, 0])
    results = [(big, big, big, big)] + [(one * 0, one, one * 0, one)] * 100
    metrics = metric.compute_metrics(results)
    assert metrics['aAcc'] == pytest.approx(2**24 / (2**24 + 100), abs=1e-9)
    assert metrics['aAcc'] < 1


def test_table__has_a_row_per_class_and_the_means(maps):
    metrics, per_class = evaluated(maps)
    text = segmentation_table({**metrics, 'classes': per_class, 'other/speed': 3})
    rows = [[cell.strip() for cell in line.split('|')[1:-1]] for line in text.splitlines() if '|' in line]
    assert rows[0] == ['class', 'IoU', 'Acc']
    assert [row[0] for row in rows[1:]] == [*CLASSES, 'mean (mIoU, mAcc)', 'all pixels (aAcc)', 'other/speed']
    assert rows[1][1] == f'{per_class["sky"]["IoU"]:.3f}'
    assert rows[4][1:] == ['-', '-']
    assert rows[5][1:] == [f'{metrics["mIoU"]:.3f}', f'{metrics["mAcc"]:.3f}']
    assert rows[6][1:] == ['', f'{metrics["aAcc"]:.3f}']
    assert 'no pixels' in text


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ((0.9, 0.0, 0.0001), "Of 3 classes, only 'sky' is found in 7 images"),
        ((0.0, 0.0, None), 'Of 2 classes, no class is found'),
        ((0.9, 0.1, 0.0), ''),
        ((0.9, None, None), ''),
    ],
)
def test_explanation__is_given_if_at_most_one_class_is_found(values, message):
    classes = {name: dict(IoU=value) for name, value in zip(CLASSES, values)}
    text = explain_poor(dict(classes=classes), 7, 12)
    assert text.startswith(message)
    assert bool(text) == bool(message)
    assert not message or '(iterations: 12)' in text


def test_dump__holds_the_labels_of_every_image(maps, tmp_path):
    metric = DumpSegmentation(str(tmp_path / 'x.pkl'))
    for index, labels in enumerate(maps[1]):
        metric.process(
            {}, [dict(pred_sem_seg=dict(data=torch.from_numpy(labels)[None]), img_path=f'{index}.jpg')]
        )
    metric.evaluate(5)
    content = load(tmp_path / 'x.pkl')
    assert [item['img_path'] for item in content] == [f'{i}.jpg' for i in range(5)]
    assert all(np.array_equal(item['pred_sem_seg'], labels) for item, labels in zip(content, maps[1]))
    assert content[0]['pred_sem_seg'].dtype == np.uint8
