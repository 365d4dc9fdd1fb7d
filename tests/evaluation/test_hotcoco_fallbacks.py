"""What goes to pycocotools in hotcoco's place, and unusual data that need not."""

import contextlib

import numpy as np
import pytest
from benchmarks.coco_eval import coco_results
from coco_examples import capture_log, load, run
from mmdet.datasets.api_wrappers import COCOeval

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

pytest.importorskip('hotcoco')
KINDS = pytest.mark.parametrize('kind', ['bbox', 'segm'])


@pytest.fixture
def log(monkeypatch, caplog):
    return capture_log(monkeypatch, caplog)


@pytest.fixture
def drawn():
    truth, predictions = random_coco(8, classes=4, per_image=10, seed=3)
    return truth, {kind: coco_results(truth, predictions, kind) for kind in ('bbox', 'segm')}


def assert_equal(truth, detections, kind, **params):
    """Evaluate on both, compare every number, return ours."""
    coco = load(truth)
    reference = run(COCOeval(coco, coco.loadRes([dict(d) for d in detections]), kind), **params)
    ours = run(HotcocoEval(load(truth), [dict(d) for d in detections], kind), **params)
    for name in ('precision', 'recall', 'scores'):
        np.testing.assert_array_equal(ours.eval[name], reference.eval[name], strict=True)
    np.testing.assert_array_equal(ours.stats, reference.stats, strict=True)
    return ours


@KINDS
@pytest.mark.parametrize(
    ('params', 'message'),
    [
        (dict(useCats=0, catIds=[3, 1, 7, 5]), 'with useCats=0 it orders detections of equal score'),
        (dict(areaRng=[[0, 1e10], [0, 500], [0, 500], [4000, 1e10]]), 'with equal areaRng'),
        (dict(recThrs=np.array([0.5, 0.1, 0.9])), 'other recThrs'),
    ],
)
def test_parameters_that_hotcoco_takes_otherwise__go_to_pycocotools(drawn, log, params, message, kind):
    assert assert_equal(drawn[0], drawn[1][kind], kind, **params).engine is None
    assert f'runs on pycocotools: {message}' in log.text


def test_proposals_of_equal_score__are_those_of_pycocotools_in_any_order_of_categories():
    """Only the first of them counts, and which one that is hangs on the order of the categories."""
    truth = dict(
        images=[dict(id=1, width=50, height=50)],
        categories=[dict(id=2, name='b'), dict(id=1, name='a')],
        annotations=[dict(id=1, image_id=1, category_id=2, bbox=[0, 0, 9, 9], area=81, iscrowd=0)],
    )
    detections = [
        dict(image_id=1, category_id=1, score=0.5, bbox=[30, 30, 9, 9]),
        dict(image_id=1, category_id=2, score=0.5, bbox=[0, 0, 9, 9]),
    ]
    ours = assert_equal(truth, detections, 'bbox', useCats=0, catIds=[2, 1], maxDets=[1, 10, 100])
    assert ours.stats[6] == 1


@KINDS
@pytest.mark.parametrize('first', [0, 7.0, 2**53 + 1, 'name', -4])
def test_ids_of_any_kind__give_the_digits_of_pycocotools(drawn, first, kind):
    def new(old):
        return f'name {old}' if isinstance(first, str) else first if old == 1 else old + 2**53 + 1

    truth, detections = drawn[0], drawn[1][kind]
    for record in [*truth['annotations'], *detections]:
        record.update(category_id=new(record['category_id']), image_id=new(record['image_id']))
    for record in [*truth['categories'], *truth['images']]:
        record['id'] = new(record['id'])
    fallback = first in ('name', -4, 7.0)
    assert (assert_equal(truth, detections, kind).engine is None) == fallback


@KINDS
def test_image_that_is_listed_twice__goes_to_pycocotools(drawn, log, kind):
    drawn[0]['images'].append(dict(drawn[0]['images'][0]))
    assert assert_equal(drawn[0], drawn[1][kind], kind).engine is None
    assert 'images share an id' in log.text


@pytest.mark.parametrize('segmentation', [[], [[1, 1, 4, 4]], [[1, 1]]])
def test_segmentation_that_is_no_mask__is_left_to_pycocotools(drawn, segmentation):
    drawn[0]['annotations'][0]['segmentation'] = segmentation
    evaluation = HotcocoEval(load(drawn[0]), drawn[1]['segm'], 'segm')
    with contextlib.suppress(Exception):  # pycocotools cannot read all of them
        run(evaluation)
    assert evaluation.engine is None


@KINDS
@pytest.mark.parametrize('flag', [bool, float, int])
def test_crowd_flags_of_any_type__give_the_digits_of_pycocotools(drawn, flag, kind):
    for index, annotation in enumerate(drawn[0]['annotations']):
        annotation['iscrowd'] = flag(index % 3 == 0)
    assert assert_equal(drawn[0], drawn[1][kind], kind).engine is not None


@KINDS
@pytest.mark.parametrize('area', [None, float('nan')])
def test_area_that_is_no_number__is_left_to_pycocotools(drawn, area, kind):
    """It cannot read all of them, and hotcoco would not say so."""
    drawn[0]['annotations'][0]['area'] = area
    evaluation = HotcocoEval(load(drawn[0]), drawn[1][kind], kind)
    with contextlib.suppress(TypeError):
        run(evaluation)
    assert evaluation.engine is None
