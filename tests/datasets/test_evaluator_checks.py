"""Checks of the annotation files of evaluators."""

import shutil

import pytest
from tiny_coco import change, printed

from eca_mmdet.datasets.dataset_checks import check_datasets


def test_test_set_without_annotations__passes_with_format_only(data, cfg, capsys):
    change(data, 'val', lambda content: content.pop('annotations'))
    cfg.test_evaluator.update(format_only=True, outfile_prefix=str(data / 'results'))
    check_datasets(cfg, ['test'])
    assert 'not checked' not in printed(capsys)


def test_test_set_without_annotations__cannot_be_evaluated(data, cfg):
    change(data, 'val', lambda content: content.update(annotations=[]))
    with pytest.raises(ValueError, match='no annotations to evaluate with.*test_evaluator.format_only=True'):
        check_datasets(cfg, ['test'])


def test_other_evaluator__passes_with_a_warning(cfg, capsys):
    cfg.val_evaluator = dict(type='VOCMetric', metric='mAP', eval_mode='11points')
    check_datasets(cfg, ['val'])
    assert 'val_evaluator was not checked: VOCMetric is not a CocoMetric' in printed(capsys)


def test_copy_of_the_annotation_file__passes(data, cfg):
    copy = shutil.copy(data / 'annotations/instances_val2017.json', data / 'copy.json')
    cfg.val_evaluator.ann_file = str(copy)
    check_datasets(cfg, ['val'])


def test_missing_annotation_file__is_reported(cfg):
    cfg.val_evaluator.ann_file = 'nowhere.json'
    with pytest.raises(
        FileNotFoundError, match='val_evaluator.ann_file is nowhere.json, which does not exist'
    ):
        check_datasets(cfg, ['val'])


def test_annotation_with_id_0__is_warned_about(data, cfg, capsys):
    change(data, 'val', lambda content: content['annotations'][0].update(id=0))
    check_datasets(cfg, ['val'])
    assert 'annotations with the id 0: 1, first id 0 (pycocotools uses 0 for' in printed(capsys)
