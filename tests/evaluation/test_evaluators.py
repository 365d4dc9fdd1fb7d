"""Preparation of a config's evaluators for ``tools/test.py``."""

import pytest
from mmdet.evaluation import CocoMetric

from eca_mmdet.evaluation import (
    FastCocoMetric,
    asked_for_ap,
    coco_kinds,
    result_prefixes,
    split_by_type,
    use_fast_coco,
)


@pytest.mark.parametrize(
    'kind', ['CocoMetric', 'mmdet.CocoMetric', CocoMetric, 'FastCocoMetric', FastCocoMetric]
)
@pytest.mark.parametrize('kinds', [['bbox', 'segm'], ('bbox', 'segm')])
def test_coco_metric__is_split_into_one_fast_metric_per_type(kind, kinds):
    split = split_by_type(dict(type=kind, metric=kinds))
    assert coco_kinds(split) == dict(bbox='bbox', segm='segm')


@pytest.mark.parametrize('kind', ['CocoOccludedSeparatedMetric', 'VOCMetric', 'LVISMetric', 'UnknownMetric'])
def test_other_metrics_and_subclasses__are_not_changed(kind):
    evaluator = [dict(type=kind, metric=['bbox', 'segm'], prefix='mine')]
    assert split_by_type(evaluator) == evaluator


@pytest.mark.parametrize('configured', [{}, dict(classwise=True), dict(classwise=False)])
def test_classwise__keeps_the_configured_value_by_default(configured):
    (metric,) = split_by_type(dict(type='CocoMetric', **configured))
    assert metric.get('classwise') == configured.get('classwise')


@pytest.mark.parametrize('kind', ['CocoMetric', 'LVISMetric', 'CocoPanopticMetric', 'PanopticMetric'])
def test_classwise__is_added_to_every_metric_that_supports_it(kind):
    first, second = split_by_type([dict(type=kind), dict(type='VOCMetric')], classwise=True)
    assert first['classwise'] is True
    assert 'classwise' not in second


def test_classwise__warns_if_no_metric_supports_it(capsys):
    split_by_type(dict(type='VOCMetric'), classwise=True)
    assert 'none of the evaluators can report results of classes' in capsys.readouterr().out


@pytest.mark.parametrize('wrap', [lambda m: dict(metrics=m), lambda m: dict(type='Evaluator', metrics=m)])
def test_metrics_of_an_evaluator__are_split_like_a_list(wrap):
    metrics = [dict(type='CocoMetric', metric=['bbox', 'segm']), dict(type='VOCMetric')]
    assert split_by_type(wrap(metrics)) == split_by_type(metrics)


def test_metrics_of_a_custom_evaluator__are_not_split():
    """``MultiDatasetsEvaluator`` pairs its metrics with datasets."""
    evaluator = dict(
        type='MultiDatasetsEvaluator', metrics=[dict(type='CocoMetric')] * 2, dataset_prefixes=['a', 'b']
    )
    split = split_by_type(evaluator, classwise=True)
    assert split['dataset_prefixes'] == ['a', 'b']
    assert [metric['type'] for metric in split['metrics']] == ['mmdet.FastCocoMetric'] * 2
    assert all(metric['classwise'] for metric in split['metrics'])


def test_prefixes__are_unique():
    evaluator = [
        dict(type='CocoMetric', metric='bbox'),
        dict(type='CocoMetric', metric='bbox', prefix='night'),
        dict(type='CocoMetric', metric='bbox'),
        dict(type='VOCMetric', prefix='segm'),
        dict(type='CocoMetric', metric='segm'),
    ]
    prefixes = [metric['prefix'] for metric in split_by_type(evaluator)]
    assert prefixes == ['bbox', 'night_bbox', 'bbox_2', 'segm', 'segm_2']


def test_format_only__is_not_split_and_reports_no_ap():
    evaluator = dict(type='CocoMetric', metric=['bbox', 'segm'], format_only=True, outfile_prefix='a/b')
    split = split_by_type(evaluator)
    assert len(split) == 1
    assert result_prefixes(split) == ['a/b']
    assert asked_for_ap(split) == []


@pytest.mark.parametrize(
    ('options', 'asked'),
    [
        (dict(metric=['bbox', 'segm']), ['bbox', 'segm']),
        (dict(metric=['proposal', 'bbox', 'proposal_fast']), ['bbox']),
        (dict(metric='bbox', metric_items=['AR@100']), []),
        (dict(metric='bbox', metric_items=['AR@100', 'mAP_s']), ['bbox']),
    ],
)
def test_asked_for_ap__lists_the_metrics_that_report_ap(options, asked):
    assert asked_for_ap(split_by_type(dict(type='CocoMetric', **options))) == asked


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(metric='box'), KeyError, "metric should be one of 'bbox'"),
        (dict(metric_items=['AP']), KeyError, 'are not supported'),
        (dict(format_only=True), ValueError, 'needs outfile_prefix'),
        (dict(claswise=True), ValueError, 'wrong options of the evaluator .*claswise'),
    ],
)
def test_wrong_options__are_rejected_before_the_run(options, error, message):
    with pytest.raises(error, match=message):
        split_by_type(dict(type='CocoMetric', ann_file='is not read', **options))


@pytest.mark.parametrize(
    'wrap',
    [
        lambda *items: items[0],
        lambda *items: list(items),
        lambda *items: dict(metrics=list(items)),
        lambda *items: dict(type='MultiDatasetsEvaluator', metrics=list(items), dataset_prefixes=['a', 'b']),
    ],
)
def test_use_fast_coco__keeps_structure_and_options(wrap):
    evaluator = wrap(dict(type='CocoMetric', metric=['bbox', 'segm'], prefix='a'), dict(type='VOCMetric'))
    fast = dict(type='mmdet.FastCocoMetric', metric=['bbox', 'segm'], prefix='a')
    assert use_fast_coco(evaluator) == wrap(fast, dict(type='VOCMetric'))
