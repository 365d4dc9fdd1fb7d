"""Sorting the results of an evaluation for the report."""

import pytest

from eca_mmdet.report.results_by_kind import group_metrics, group_results


@pytest.mark.parametrize(
    ('name', 'kind', 'column'),
    [
        ('coco/bbox_mAP', 'bbox', 'AP'),
        ('segm/segm_mAP_50', 'segm', 'AP50'),
        ('bbox_mAP_l', 'bbox', 'APl'),
        ('night/bbox_mAP_75', 'night bbox', 'AP75'),
    ],
)
def test_ap__is_found_under_every_prefix(name, kind, column):
    assert group_metrics({name: 0.5, 'step': 3, 'time': 1.0}).ap == {kind: {column: 0.5}}


@pytest.mark.parametrize('value', [-1.0, float('nan')])
def test_ap_that_was_not_measured__is_missing(value):
    assert group_metrics({'coco/bbox_mAP_s': value}).ap == {'bbox': {'APs': None}}


def test_other_numbers__keep_their_names():
    metrics = {'mIoU': 0.5, 'accuracy/top1': 90.0, 'single-label/recall_classwise': [1.0], 'step': 2}
    assert group_metrics(metrics).others == {'mIoU': 0.5, 'accuracy/top1': 90.0}


def test_results_of_classes__are_no_results_of_the_whole():
    results = group_metrics({'bbox/cat_precision': 0.5, 'panoptic/sky_PQ': 40.0, 'panoptic/PQ': 30.0})
    assert results.others == {'panoptic/PQ': 30.0}
    assert results.classes == {'cat': {'bbox AP': 0.5}, 'sky': {'PQ': 40.0}}


def test_results_json__of_each_task_is_understood():
    content = {
        'bbox': {'AP': 0.5, 'AP50': 0.7, 'per_class': {'cat': 0.5}},
        'accuracy': {'top1': 90.0},
        'mIoU': 0.4,
        'classes': {'sky': {'IoU': 0.4}},
    }
    results = group_results(content)
    assert results.ap == {'bbox': {'AP': 0.5, 'AP50': 0.7}}
    assert results.others == {'accuracy/top1': 90.0, 'mIoU': 0.4}
    assert results.classes == {'sky': {'IoU': 0.4}}
