"""``FastCocoMetric`` against mmdet's ``CocoMetric``: the same results with every option."""

import gc
import json
import sys
import tempfile

import numpy as np
import pytest
from coco_examples import capture_log
from coco_examples import feed as evaluate
from mmdet.evaluation import CocoMetric
from mmdet.registry import METRICS

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation import FastCocoMetric

OPTIONS = {
    'both': dict(metric=['bbox', 'segm']),
    'classwise': dict(metric=['segm'], classwise=True),
    'proposals': dict(metric=['proposal', 'bbox'], proposal_nums=(1, 5, 20)),
    'twice the same': dict(metric=['segm', 'segm']),
    'numbers of proposals': dict(proposal_nums=(100, 1, 10)),
    'items': dict(metric_items=['AR@1000', 'mAP_s', 'AR_l@1000']),
    'thresholds': dict(iou_thrs=np.array([0.5, 0.6])),
    'sorted categories': dict(sort_categories=True, classwise=True),
    'prefix': dict(prefix='mine'),
}


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    truth, predictions = random_coco(8, classes=4, per_image=10, seed=5)
    path = tmp_path_factory.mktemp('coco') / 'truth.json'
    path.write_text(json.dumps(truth))
    return str(path), truth, predictions


@pytest.fixture
def hotcoco():
    return pytest.importorskip('hotcoco')


@pytest.fixture
def log(monkeypatch, caplog):
    return capture_log(monkeypatch, caplog)


@pytest.mark.parametrize('name', OPTIONS)
def test_option__gives_the_results_of_mmdet(data, hotcoco, name):
    path, truth, predictions = data
    ours = evaluate(FastCocoMetric(path, backend='hotcoco', **OPTIONS[name]), truth, predictions)
    expected = evaluate(CocoMetric(path, **OPTIONS[name]), truth, predictions)
    assert list(ours) == list(expected)
    np.testing.assert_array_equal(list(ours.values()), list(expected.values()))
    assert max(ours.values()) > 0


def test_ground_truth_of_the_data_set__gives_the_results_of_mmdet(data, hotcoco):
    """Without an annotation file mmdet writes one from the samples."""
    kinds = dict(metric=['bbox', 'segm'])
    ours = evaluate(FastCocoMetric(backend='hotcoco', **kinds), *data[1:])
    assert ours == evaluate(CocoMetric(**kinds), *data[1:])


def test_second_evaluation__gives_the_same(data, hotcoco):
    metric = FastCocoMetric(data[0], metric=['bbox', 'segm'], backend='hotcoco')
    assert evaluate(metric, *data[1:]) == evaluate(metric, *data[1:])


@pytest.mark.parametrize('format_only', [False, True])
def test_result_files__are_those_of_mmdet(data, hotcoco, tmp_path, format_only):
    found = {}
    for name, metric in dict(ours=FastCocoMetric, mmdets=CocoMetric).items():
        options = dict(outfile_prefix=str(tmp_path / name), format_only=format_only)
        found[name] = evaluate(metric(data[0], metric=['bbox', 'segm'], **options), *data[1:])
    assert found['ours'] == found['mmdets']
    for kind in ('bbox', 'segm'):
        ours, expected = (json.loads((tmp_path / f'{name}.{kind}.json').read_text()) for name in found)
        assert ours == expected
        assert len(ours) > 100


def test_without_an_outfile_prefix__no_result_file_is_written(data, hotcoco, monkeypatch):
    def refuse(*args):
        raise OSError('a folder for a file was made')

    monkeypatch.setattr(tempfile, 'mkdtemp', refuse)
    assert evaluate(FastCocoMetric(data[0], backend='hotcoco'), *data[1:])
    with pytest.raises(OSError, match='a folder for a file was made'):
        evaluate(CocoMetric(data[0]), *data[1:])


def test_no_detections__are_an_empty_result_as_in_mmdet(data, hotcoco):
    none = [dict(p, bboxes=p['bboxes'][:0], scores=p['scores'][:0], labels=p['labels'][:0]) for p in data[2]]
    for metric in (FastCocoMetric(data[0], backend='hotcoco'), CocoMetric(data[0])):
        assert evaluate(metric, data[1], none) == {}


def test_garbage_collection__is_restored_after_an_error(data, hotcoco):
    metric = FastCocoMetric(data[0], backend='hotcoco')
    metric.metric_items = ['no such item']
    with pytest.raises(KeyError, match='no such item'):
        evaluate(metric, *data[1:])
    assert gc.isenabled()


@pytest.mark.parametrize('backend', ['hotcoco', 'pycocotools'])
def test_log__says_which_backend_runs(data, hotcoco, log, backend):
    evaluate(FastCocoMetric(data[0], backend=backend), *data[1:])
    assert sum(f'COCO evaluation runs on {backend} ' in line for line in log.text.splitlines()) == 1


def test_auto__takes_hotcoco_where_it_is_installed(data, hotcoco, monkeypatch):
    assert FastCocoMetric(data[0]).backend == 'hotcoco'
    assert FastCocoMetric(data[0], use_mp_eval=True).backend == 'pycocotools'
    monkeypatch.setitem(sys.modules, 'hotcoco', None)  # an import of it fails
    assert FastCocoMetric(data[0]).backend == 'pycocotools'


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(backend='cocoapi'), "backend='cocoapi': allowed are auto, hotcoco, pycocotools"),
        (dict(backend='hotcoco'), r'cannot be imported \(.*\): pip install hotcoco'),
        (dict(backend='hotcoco', use_mp_eval=True), 'use_mp_eval belongs to pycocotools'),
    ],
)
def test_backend_that_cannot_run__is_refused_before_the_run(monkeypatch, data, options, message):
    monkeypatch.setitem(sys.modules, 'hotcoco', None)
    with pytest.raises(ValueError, match=message):
        FastCocoMetric(data[0], **options)


def test_without_hotcoco__mmdets_own_evaluation_runs(data, monkeypatch):
    monkeypatch.setitem(sys.modules, 'hotcoco', None)  # an import of it fails
    ours = evaluate(FastCocoMetric(data[0], metric=['bbox', 'segm']), *data[1:])
    assert ours == evaluate(CocoMetric(data[0], metric=['bbox', 'segm']), *data[1:])


def test_registry__knows_the_metric(data):
    assert isinstance(METRICS.build(dict(type='mmdet.FastCocoMetric', ann_file=data[0])), FastCocoMetric)
