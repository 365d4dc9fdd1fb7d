"""Tables, JSON and explanations of evaluation results."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from eca_mmdet.evaluation import (
    collect_results,
    explain_empty,
    is_empty,
    results_table,
    split_by_type,
)
from eca_mmdet.results_file import write_results

METRICS = {
    f'{kind}/{kind}_{name}': value
    for kind, base in (('bbox', 0.5), ('segm', 0.25))
    for name, value in zip(
        ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l'), (base, 0.9, 0.8, 0.1, 0.2, -1.0)
    )
}


def test_collect__groups_by_type_and_marks_missing_values():
    results = collect_results(METRICS)
    assert results['bbox'] == dict(AP=0.5, AP50=0.9, AP75=0.8, APs=0.1, APm=0.2, APl=None)
    assert results['segm']['AP'] == 0.25


def test_collect__separates_the_classes_of_bbox_and_segm():
    classes = {'bbox/cat_precision': 0.7, 'segm/cat_precision': 0.6, 'segm/dog_precision': float('nan')}
    results = collect_results({**METRICS, **classes})
    assert results['bbox']['per_class'] == {'cat': 0.7}
    assert results['segm']['per_class'] == {'cat': 0.6, 'dog': None}


def test_collect__of_no_metrics_is_empty():
    assert collect_results({}) == {}


def test_table__has_one_row_per_type_and_six_columns():
    lines = results_table(collect_results({**METRICS, 'bbox/cat_precision': 0.7})).splitlines()
    assert lines[1].split() == [
        '|',
        '|',
        'AP',
        '|',
        'AP50',
        '|',
        'AP75',
        '|',
        'APs',
        '|',
        'APm',
        '|',
        'APl',
        '|',
    ]
    assert lines[3].split() == ['|', 'bbox', '|', '0.500', '|', '0.900', '|', '0.800', '|', '0.100', '|', '0.200', '|', '-', '|']  # fmt: skip # noqa: E501
    assert any(line.split()[1:4] == ['cat', '|', '0.700'] for line in lines)


@pytest.mark.parametrize('metric', ['CocoMetric', 'FastCocoMetric'])
def test_split__gives_each_type_a_prefix_and_keeps_its_input(metric):
    evaluator = dict(type=metric, metric=['bbox', 'segm'], ann_file='a.json')
    first, second = split_by_type(evaluator, classwise=True)
    assert (first['metric'], first['prefix'], first['classwise']) == ('bbox', 'bbox', True)
    assert (second['metric'], second['prefix'], second['ann_file']) == ('segm', 'segm', 'a.json')
    assert evaluator == dict(type=metric, metric=['bbox', 'segm'], ann_file='a.json')


def test_json__holds_the_results_and_their_description(tmp_path):
    write_results(tmp_path / 'a/results.json', collect_results(METRICS), checkpoint='x.pth')
    content = json.loads((tmp_path / 'a/results.json').read_text())
    assert content['checkpoint'] == 'x.pth'
    assert content['results']['segm']['APl'] is None


@pytest.mark.parametrize(
    ('detections', 'text'),
    [
        (0, 'no detection in 7 images reached score_thr=0.05'),
        (12, '12 detections in 7 images, but none is correct'),
        (None, 'every AP or PQ on 7 images is below 0.0005'),
    ],
)
def test_empty_result__is_explained(detections, text):
    cfg = Config(dict(model=dict(test_cfg=dict(rcnn=dict(score_thr=0.05)))))
    message = explain_empty(cfg, detections, images=7, trained_iters=3)
    assert text in message
    assert 'trained too briefly (iterations: 3)' in message


@pytest.mark.parametrize('items', [['mAP', 'mAP_50'], ['mAP_s'], ['AR@100', 'mAP'], []])
def test_collect__holds_exactly_the_requested_items(items):
    names = {'mAP': 'AP', 'mAP_50': 'AP50', 'mAP_s': 'APs', 'AR@100': 'AR@100'}
    results = collect_results({f'bbox/bbox_{item}': 0.5 for item in items})
    assert results == ({'bbox': {names[item]: 0.5 for item in items}} if items else {})


def test_collect__keeps_the_results_of_every_metric():
    metrics = {
        'proposal/AR@100': 0.5,
        'pascal_voc/mAP': np.float32(0.25),
        'coco/bbox_mAP': 0.75,
        'a/b/c': 2,
        'accuracy': torch.tensor(0.5),
        'night/bbox_mAP': -1.0,
    }
    assert collect_results(metrics, dict(proposal='proposal', night='bbox')) == {
        'proposal': {'AR@100': 0.5},
        'pascal_voc': {'mAP': 0.25},
        'coco': {'bbox_mAP': 0.75},
        'a': {'b/c': 2},
        'other': {'accuracy': 0.5},
        'night': {'AP': None},
    }


SPECIAL_VALUES = {
    'not a number': float('nan'),
    'infinity': float('inf'),
    'array': np.arange(2),
    'nested': {1: (np.int64(2), None)},
    'object': object,
    'negative': -1.0,
    'text': 'good',
}


def test_values_of_any_type__are_written_to_json(tmp_path):
    results = collect_results({f'mine/{name}': value for name, value in SPECIAL_VALUES.items()})
    write_results(tmp_path / 'results.json', results, images=np.int64(3))
    content = json.loads((tmp_path / 'results.json').read_text(), parse_constant=pytest.fail)
    assert content['images'] == 3
    assert content['results']['mine'] == {
        'not a number': None,
        'infinity': 'inf',
        'array': [0, 1],
        'nested': {'1': [2, None]},
        'object': "<class 'object'>",
        'negative': -1.0,
        'text': 'good',
    }


def test_table__shows_every_number():
    metrics = {**METRICS, 'bbox/bbox_AR@100': 0.125, 'pascal_voc/mAP': 0.375, 'mine/loss': 0.0000123, 'n': 7}
    text = results_table(collect_results(metrics))
    rows = [[cell for cell in line.split() if cell != '|'] for line in text.splitlines()]
    for row in (['bbox', 'AR@100', '0.125'], ['pascal_voc', 'mAP', '0.375'], ['mine', 'loss', '1.23e-05'], ['other', 'n', '7']):  # fmt: skip # noqa: E501
        assert row in rows


def test_table__has_only_the_columns_of_its_items():
    text = results_table(collect_results({'bbox/bbox_mAP_50': 0.5, 'segm/segm_mAP': 0.25}))
    assert text.splitlines()[1].split() == ['|', '|', 'AP', '|', 'AP50', '|']
    assert results_table({}) == ''


@pytest.mark.parametrize(
    ('results', 'asked', 'detections', 'empty'),
    [
        ({'bbox': {'AP': 0.0, 'AP50': 0.0, 'APs': None}}, ['bbox'], 9, True),
        ({'bbox': {'AP': 0.0, 'AP50': 0.002}}, ['bbox'], 9, False),
        ({'bbox': {'AP': 0.0}, 'segm': {'AP': 0.1}}, ['bbox', 'segm'], 9, False),
        ({'bbox': {'AP': None}}, ['bbox'], 9, False),  # the data has no objects
        ({}, ['bbox'], 0, True),
        ({}, ['bbox'], 9, False),  # the metric failed for another reason
        ({'pascal_voc': {'mAP': 0.0}}, [], 9, False),
        ({'pascal_voc': {'mAP': 0.5}}, ['bbox'], 0, True),
        ({'proposal': {'AR@100': 0.0}}, [], 0, False),
        ({}, ['bbox'], None, False),
    ],
)
def test_result__is_empty_if_every_requested_ap_is_0(results, asked, detections, empty):
    assert is_empty(results, asked, detections) is empty


def test_json__is_written_atomically(tmp_path, monkeypatch):
    target = tmp_path / 'results.json'
    write_results(target, {'bbox': {'AP': 0.5}})

    def fail(*_):
        raise OSError('no space left')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError, match='no space left'):
        write_results(target, {'bbox': {'AP': 0.25}})
    assert json.loads(target.read_text())['results'] == {'bbox': {'AP': 0.5}}
