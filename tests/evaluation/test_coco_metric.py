"""``FastCocoMetric`` gives the same results as mmdet's ``CocoMetric`` with every option."""

import gc
import json
import sys
import tempfile

import numpy as np
import pytest
from coco_examples import evaluate
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation import FastCocoMetric

OPTIONS = {
    'both': dict(metric=['bbox', 'segm']),
    'classwise': dict(metric=['segm'], classwise=True),
    'proposals': dict(metric=['proposal', 'bbox'], proposal_nums=(1, 5, 20)),
    'same metric twice': dict(metric=['segm', 'segm']),
    'proposal_nums': dict(proposal_nums=(100, 1, 10)),
    'metric_items': dict(metric_items=['AR@1000', 'mAP_s', 'AR_l@1000']),
    'iou_thrs': dict(iou_thrs=np.array([0.5, 0.6])),
    'sorted categories': dict(sort_categories=True, classwise=True),
    'prefix': dict(prefix='mine'),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    truth, predictions = random_coco(8, classes=4, per_image=10, seed=5)
    path = tmp_path_factory.mktemp('coco') / 'truth.json'
    path.write_text(json.dumps(truth))
    return str(path), truth, predictions


@pytest.mark.parametrize('name', OPTIONS)
def test_option__gives_the_results_of_mmdet(data, hotcoco, name):
    path, truth, predictions = data
    ours = evaluate(FastCocoMetric(path, backend='hotcoco', **OPTIONS[name]), truth, predictions)
    expected = evaluate(CocoMetric(path, **OPTIONS[name]), truth, predictions)
    assert list(ours) == list(expected)
    np.testing.assert_array_equal(list(ours.values()), list(expected.values()))
    assert max(ours.values()) > 0


def test_ground_truth_from_the_dataset__gives_the_results_of_mmdet(data, hotcoco):
    """Without ``ann_file`` mmdet creates one from the samples."""
    kinds = dict(metric=['bbox', 'segm'])
    ours = evaluate(FastCocoMetric(backend='hotcoco', **kinds), *data[1:])
    assert ours == evaluate(CocoMetric(**kinds), *data[1:])


def test_second_evaluation__gives_the_same_results(data, hotcoco):
    metric = FastCocoMetric(data[0], metric=['bbox', 'segm'], backend='hotcoco')
    assert evaluate(metric, *data[1:]) == evaluate(metric, *data[1:])


@pytest.mark.parametrize('format_only', [False, True])
def test_result_files__equal_those_of_mmdet(data, hotcoco, tmp_path, format_only):
    results = {}
    for name, metric in dict(ours=FastCocoMetric, mmdet=CocoMetric).items():
        options = dict(outfile_prefix=str(tmp_path / name), format_only=format_only)
        results[name] = evaluate(metric(data[0], metric=['bbox', 'segm'], **options), *data[1:])
    assert results['ours'] == results['mmdet']
    for kind in ('bbox', 'segm'):
        ours, expected = (json.loads((tmp_path / f'{name}.{kind}.json').read_text()) for name in results)
        assert ours == expected
        assert len(ours) > 100


def test_missing_outfile_prefix__writes_no_result_file(data, hotcoco, monkeypatch):
    def fail(*args):
        raise OSError('a temporary folder was created')

    monkeypatch.setattr(tempfile, 'mkdtemp', fail)
    assert evaluate(FastCocoMetric(data[0], backend='hotcoco'), *data[1:])
    with pytest.raises(OSError, match='a temporary folder was created'):
        evaluate(CocoMetric(data[0]), *data[1:])


def test_no_detections__give_an_empty_result_as_in_mmdet(data, hotcoco):
    empty = [dict(p, **{key: p[key][:0] for key in ('bboxes', 'scores', 'labels')}) for p in data[2]]
    for metric in (FastCocoMetric(data[0], backend='hotcoco'), CocoMetric(data[0])):
        assert evaluate(metric, data[1], empty) == {}


def test_garbage_collection__is_enabled_again_after_an_error(data, hotcoco):
    metric = FastCocoMetric(data[0], backend='hotcoco')
    metric.metric_items = ['no such item']
    with pytest.raises(KeyError, match='no such item'):
        evaluate(metric, *data[1:])
    assert gc.isenabled()


@pytest.mark.parametrize('backend', ['hotcoco', 'pycocotools'])
def test_log__states_the_backend(data, hotcoco, mmengine_log, backend):
    evaluate(FastCocoMetric(data[0], backend=backend), *data[1:])
    assert sum(f'COCO evaluation runs on {backend} ' in line for line in mmengine_log.text.splitlines()) == 1


def test_auto_backend__uses_hotcoco_if_installed(data, hotcoco, monkeypatch):
    assert FastCocoMetric(data[0]).backend == 'hotcoco'
    assert FastCocoMetric(data[0], use_mp_eval=True).backend == 'pycocotools'
    monkeypatch.setitem(sys.modules, 'hotcoco', None)  # makes the import fail
    assert FastCocoMetric(data[0]).backend == 'pycocotools'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(backend='cocoapi'), "backend='cocoapi': allowed are auto, hotcoco, pycocotools"),
        (dict(backend='hotcoco'), r'cannot be imported \(.*\): pip install hotcoco'),
        (dict(backend='hotcoco', use_mp_eval=True), 'use_mp_eval needs pycocotools'),
    ],
)
def test_unavailable_backend__is_rejected_before_the_run(monkeypatch, data, options, message):
    monkeypatch.setitem(sys.modules, 'hotcoco', None)
    with pytest.raises(ValueError, match=message):
        FastCocoMetric(data[0], **options)


def test_missing_hotcoco__falls_back_to_pycocotools(data, monkeypatch):
    monkeypatch.setitem(sys.modules, 'hotcoco', None)  # makes the import fail
    ours = evaluate(FastCocoMetric(data[0], metric=['bbox', 'segm']), *data[1:])
    assert ours == evaluate(CocoMetric(data[0], metric=['bbox', 'segm']), *data[1:])


def test_metric__is_registered(data):
    assert isinstance(METRICS.build(dict(type='mmdet.FastCocoMetric', ann_file=data[0])), FastCocoMetric)
