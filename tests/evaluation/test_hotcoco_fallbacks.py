"""Unusual data and parameters: which ones fall back to pycocotools, and which ones hotcoco supports."""

import contextlib

import numpy as np
import pytest
from benchmarks.coco_eval import coco_results
from coco_examples import assert_equal_to_pycocotools, load, run

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

pytest.importorskip('hotcoco')
KINDS = pytest.mark.parametrize('kind', ['bbox', 'segm'])


@pytest.fixture
def random_data():
    truth, predictions = random_coco(8, classes=4, per_image=10, seed=3)
    return truth, {kind: coco_results(truth, predictions, kind) for kind in ('bbox', 'segm')}


@KINDS
@pytest.mark.parametrize(
    ('params', 'message'),
    [
        (dict(useCats=0, catIds=[3, 1, 7, 5]), 'with useCats=0 hotcoco orders detections of equal score'),
        (
            dict(areaRng=[[0, 1e10], [0, 500], [0, 500], [4000, 1e10]]),
            'hotcoco evaluates only the last of several equal areaRng',
        ),
        (dict(recThrs=np.array([0.5, 0.1, 0.9])), 'recThrs other than those of COCO'),
    ],
)
def test_unsupported_parameters__fall_back_to_pycocotools(random_data, mmengine_log, params, message, kind):
    assert assert_equal_to_pycocotools(random_data[0], random_data[1][kind], kind, **params).engine is None
    assert f'runs on pycocotools: {message}' in mmengine_log.text


def test_proposals_of_equal_score__are_ordered_as_by_pycocotools():
    """Only the first one counts, and the order of the categories decides which one is first."""
    truth = dict(
        images=[dict(id=1, width=50, height=50)],
        categories=[dict(id=2, name='b'), dict(id=1, name='a')],
        annotations=[dict(id=1, image_id=1, category_id=2, bbox=[0, 0, 9, 9], area=81, iscrowd=0)],
    )
    detections = [
        dict(image_id=1, category_id=1, score=0.5, bbox=[30, 30, 9, 9]),
        dict(image_id=1, category_id=2, score=0.5, bbox=[0, 0, 9, 9]),
    ]
    ours = assert_equal_to_pycocotools(
        truth, detections, 'bbox', useCats=0, catIds=[2, 1], maxDets=[1, 10, 100]
    )
    assert ours.stats[6] == 1


@KINDS
@pytest.mark.parametrize('first', [0, 7.0, 2**53 + 1, 'name', -4])
def test_ids_of_any_type__are_evaluated_as_by_pycocotools(random_data, first, kind):
    def renumber(old):
        return f'name {old}' if isinstance(first, str) else first if old == 1 else old + 2**53 + 1

    truth, detections = random_data[0], random_data[1][kind]
    for record in [*truth['annotations'], *detections]:
        record.update(category_id=renumber(record['category_id']), image_id=renumber(record['image_id']))
    for record in [*truth['categories'], *truth['images']]:
        record['id'] = renumber(record['id'])
    needs_fallback = first in ('name', -4, 7.0)
    assert (assert_equal_to_pycocotools(truth, detections, kind).engine is None) == needs_fallback


@KINDS
def test_image_listed_twice__falls_back_to_pycocotools(random_data, mmengine_log, kind):
    random_data[0]['images'].append(dict(random_data[0]['images'][0]))
    assert assert_equal_to_pycocotools(random_data[0], random_data[1][kind], kind).engine is None
    assert 'several images have the same id' in mmengine_log.text


@pytest.mark.parametrize('segmentation', [[], [[1, 1, 4, 4]], [[1, 1]]])
def test_invalid_segmentation__falls_back_to_pycocotools(random_data, segmentation):
    random_data[0]['annotations'][0]['segmentation'] = segmentation
    evaluation = HotcocoEval(load(random_data[0]), random_data[1]['segm'], 'segm')
    with contextlib.suppress(Exception):  # pycocotools cannot read all of them
        run(evaluation)
    assert evaluation.engine is None


@KINDS
@pytest.mark.parametrize('flag', [bool, float, int])
def test_crowd_flags_of_any_type__are_evaluated_as_by_pycocotools(random_data, flag, kind):
    for index, annotation in enumerate(random_data[0]['annotations']):
        annotation['iscrowd'] = flag(index % 3 == 0)
    assert assert_equal_to_pycocotools(random_data[0], random_data[1][kind], kind).engine is not None


@KINDS
@pytest.mark.parametrize('area', [None, float('nan')])
def test_area_that_is_not_a_number__falls_back_to_pycocotools(random_data, area, kind):
    """pycocotools raises an error for some of these values, hotcoco never does."""
    random_data[0]['annotations'][0]['area'] = area
    evaluation = HotcocoEval(load(random_data[0]), random_data[1][kind], kind)
    with contextlib.suppress(TypeError):
        run(evaluation)
    assert evaluation.engine is None
