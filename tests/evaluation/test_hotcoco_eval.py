"""``HotcocoEval`` is bit-identical to pycocotools in its arrays and all 12 summary numbers."""

import copy
import json

import numpy as np
import pytest
from benchmarks.coco_eval import coco_results
from coco_examples import assert_equal_to_pycocotools, load, run
from pycocotools import mask as mask_tools

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

pytest.importorskip('hotcoco')
KINDS = pytest.mark.parametrize('kind', ['bbox', 'segm'])


@pytest.fixture(scope='module')
def random_data():
    truth, predictions = random_coco(12, classes=4, per_image=12, detections=6, seed=3)
    return truth, {kind: coco_results(truth, predictions, kind) for kind in ('bbox', 'segm')}


def _set_values(key, *values, every=1):
    def change(annotations):
        for i, annotation in enumerate(annotations[::every]):
            annotation[key] = values[i % len(values)]

    return change


def _clear_some_images(annotations):
    annotations[:] = [a for a in annotations if a['image_id'] % 3]


def _convert_to_rle(annotations):
    for annotation in annotations:
        if isinstance(annotation['segmentation'], list):
            annotation['segmentation'] = mask_tools.frPyObjects(annotation['segmentation'], 480, 640)[0]


EMPTY = mask_tools.encode(np.zeros((480, 640), np.uint8, order='F'))
TRUTHS = {
    'unchanged': lambda annotations: None,
    'half crowds': _set_values('iscrowd', 1, every=2),
    'all crowds': _set_values('iscrowd', 1),
    'ignore flag': _set_values('ignore', 1, every=3),
    'images without annotations': _clear_some_images,
    'no annotations': lambda annotations: annotations.clear(),
    'areas at and beyond the limits': _set_values('area', 1024, 1023.99, 9216, 9216.01, 0, 1e10, 1e11),
    'masks as RLE': _convert_to_rle,
    'several polygons': _set_values(
        'segmentation', [[1.5, 2, 90, 30, 70, 60.9], [300, 9, 400, 9, 350, 99]], every=4
    ),
    'outside the image': _set_values('segmentation', [[-50, -20, 1000, 30, 700, 600]], every=4),
    'boxes of zero or negative size': _set_values('bbox', [5, 5, 0, 0], [5, 5, -3, 9], every=2),
    'one image': _set_values('image_id', 1),
    'large ids': lambda annotations: [a.update(id=a['id'] + 2**40) for a in annotations],
}
DETECTIONS = {
    'one detection': lambda detections: detections.__delitem__(slice(1, None)),
    'one image': _set_values('image_id', 1),
    'images without detections': _clear_some_images,
    'equal scores': _set_values('score', 0.5),
    'scores of all sizes': _set_values('score', 0.0, -0.0, -1.0, 1e-30, 1e30, 0.1 + 0.2, 0.3),
    'unknown class': _set_values('category_id', 999, every=5),
    'empty masks and boxes': lambda detections: [
        d.update(bbox=[9, 9, 0, 0]) if 'bbox' in d else d.update(segmentation=EMPTY) for d in detections[::3]
    ],
    'over 1000 in an image': lambda detections: detections.__setitem__(
        slice(None), [dict(d, image_id=1, category_id=1) for d in detections]
    ),
}
PARAMS = {
    'maxDets of COCO': dict(maxDets=[1, 10, 100]),
    'small maxDets': dict(maxDets=[3, 1, 2]),
    'one maxDets': dict(maxDets=[2]),
    'iouThrs': dict(iouThrs=np.array([0.3, 0.5, 0.75, 1.0])),
    'classes in another order': dict(catIds=[5, 1]),
    'some images': dict(imgIds=[i * 7 + 1 for i in range(10, 1, -2)]),
    'areaRng': dict(areaRng=[[0, 1e10], [0, 500], [500, 4000], [4000, 1e10]]),
}


@KINDS
@pytest.mark.parametrize('case', TRUTHS)
def test_ground_truth__is_evaluated_as_by_pycocotools(random_data, case, kind):
    truth = copy.deepcopy(random_data[0])
    TRUTHS[case](truth['annotations'])
    assert assert_equal_to_pycocotools(truth, random_data[1][kind], kind).engine is not None


@KINDS
@pytest.mark.parametrize('case', DETECTIONS)
def test_detections__are_evaluated_as_by_pycocotools(random_data, case, kind):
    detections = copy.deepcopy(random_data[1][kind])
    DETECTIONS[case](detections)
    assert assert_equal_to_pycocotools(random_data[0], detections, kind).engine is not None


@KINDS
@pytest.mark.parametrize('case', PARAMS)
def test_parameters__are_treated_as_by_pycocotools(random_data, case, kind):
    assert (
        assert_equal_to_pycocotools(random_data[0], random_data[1][kind], kind, **PARAMS[case]).engine
        is not None
    )


def test_results__are_not_trivial(random_data):
    stats = assert_equal_to_pycocotools(random_data[0], random_data[1]['segm'], 'segm').stats
    assert (stats > 0.05).all()
    assert (stats < 0.99).all()
    assert len(set(stats.tolist())) > 8


def _use_image_names(dataset, detections):
    for record in [*dataset['annotations'], *detections]:
        record['image_id'] = f'image {record["image_id"]}'
    for image in dataset['images']:
        image['id'] = f'image {image["id"]}'


FALLBACKS = {
    'id 0': (
        lambda t, d: _set_values('id', *range(len(t['annotations'])))(t['annotations']),
        'hotcoco never matches an annotation with the id 0',
    ),
    'equal ids': (
        lambda t, d: _set_values('id', 1, 2, 3)(t['annotations']),
        'several annotations have the same id',
    ),
    'negative ids': (
        lambda t, d: _set_values('id', *range(-999, -1))(t['annotations']),
        'hotcoco cannot read',
    ),
    'images by name': (_use_image_names, 'hotcoco cannot read'),
    'NaN scores': (
        lambda t, d: _set_values('score', float('nan'), every=3)(d),
        'some scores, areas or boxes are not finite',
    ),
}


@KINDS
@pytest.mark.parametrize('case', FALLBACKS)
def test_unsupported_data__falls_back_to_pycocotools(random_data, mmengine_log, case, kind):
    truth, detections = copy.deepcopy((random_data[0], random_data[1][kind]))
    change, message = FALLBACKS[case]
    change(truth, detections)
    assert assert_equal_to_pycocotools(truth, detections, kind).engine is None
    assert f'runs on pycocotools: {message}' in mmengine_log.text


def test_boxes_that_are_not_finite__fall_back_to_pycocotools(random_data):
    truth, detections = copy.deepcopy((random_data[0], random_data[1]['bbox']))
    _set_values('bbox', [0, 0, float('inf'), 5], every=3)(truth['annotations'])
    assert assert_equal_to_pycocotools(truth, detections, 'bbox').engine is None
    _set_values('bbox', [float('nan')] * 4, every=3)(detections)
    assert assert_equal_to_pycocotools(random_data[0], detections, 'bbox').engine is None


@pytest.mark.parametrize('key', ['iscrowd', 'area', 'segmentation'])
def test_annotation_that_pycocotools_cannot_read__raises_its_error(random_data, key):
    truth = copy.deepcopy(random_data[0])
    del truth['annotations'][0][key]
    with pytest.raises(KeyError, match=key):
        run(HotcocoEval(load(truth), copy.deepcopy(random_data[1]['segm']), 'segm'))


def test_detections_of_unknown_images__raise_the_error_of_pycocotools(random_data):
    detections = [dict(random_data[1]['bbox'][0], image_id=10**6)]
    with pytest.raises(AssertionError, match='do not correspond to current coco set'):
        run(HotcocoEval(load(random_data[0]), detections, 'bbox'))


@KINDS
def test_coco_mini__is_evaluated_as_by_pycocotools(coco_mini, kind):
    """Evaluate shifted copies of COCO's annotations, including crowds."""
    file = sorted((coco_mini / 'annotations').glob('instances_val*.json'))[0]
    truth = json.loads(file.read_text())
    coco, rng = load(truth), np.random.default_rng(0)
    category_ids = [category['id'] for category in truth['categories']]
    detections = []
    for annotation in truth['annotations'] * 2:
        mask = np.roll(coco.annToMask(annotation), rng.integers(-6, 7, 2), (0, 1))
        rle = mask_tools.encode(np.asfortranarray(mask))
        box = (np.array(annotation['bbox']) + rng.normal(0, 3, 4)).tolist()
        shape = dict(bbox=box) if kind == 'bbox' else dict(segmentation=rle)
        category = annotation['category_id'] if rng.random() < 0.9 else int(rng.choice(category_ids))
        score = float(np.float32(rng.random()).round(2))
        detections.append(dict(image_id=annotation['image_id'], category_id=category, score=score, **shape))
    ours = assert_equal_to_pycocotools(truth, detections, kind)
    assert ours.engine is not None
    assert ours.stats[0] > 0.1
