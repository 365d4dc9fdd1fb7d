"""hotcoco's arrays and all 12 numbers against pycocotools', bit for bit."""

import contextlib
import copy
import json
import logging

import numpy as np
import pytest
from benchmarks.coco_eval import coco_results
from mmdet.datasets.api_wrappers import COCO, COCOeval
from pycocotools import mask as mask_tools

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation import hotcoco_eval
from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

pytest.importorskip('hotcoco')
KINDS = pytest.mark.parametrize('kind', ['bbox', 'segm'])


@pytest.fixture(scope='module')
def drawn():
    truth, predictions = random_coco(12, classes=4, per_image=12, detections=6, seed=3)
    return truth, {kind: coco_results(truth, predictions, kind) for kind in ('bbox', 'segm')}


def load(truth):
    coco = COCO()
    coco.dataset = copy.deepcopy(truth)
    coco.createIndex()
    return coco


def run(evaluation, params):
    evaluation.params.maxDets = [100, 300, 1000]
    for name, value in params.items():
        setattr(evaluation.params, name, copy.copy(value))
    evaluation.evaluate()
    evaluation.accumulate()
    # One or two of maxDets have no 12 numbers; the arrays are compared all the same.
    with contextlib.suppress(IndexError):
        evaluation.summarize()
    return evaluation


def assert_equal(truth, detections, kind, **params):
    """Evaluate on both, compare every number, return ours."""
    coco = load(truth)
    reference = run(COCOeval(coco, coco.loadRes(copy.deepcopy(detections)), kind), params)
    ours = run(HotcocoEval(load(truth), copy.deepcopy(detections), kind), params)
    for name in ('precision', 'recall', 'scores'):
        np.testing.assert_array_equal(ours.eval[name], reference.eval[name], strict=True)
    np.testing.assert_array_equal(ours.stats, reference.stats, strict=True)
    return ours


def _each(key, *values, every=1):
    def change(annotations):
        for i, annotation in enumerate(annotations[::every]):
            annotation[key] = values[i % len(values)]

    return change


def _drop_images(annotations):
    annotations[:] = [a for a in annotations if a['image_id'] % 3]


def _rle(annotations):
    for annotation in annotations:
        if isinstance(annotation['segmentation'], list):
            annotation['segmentation'] = mask_tools.frPyObjects(annotation['segmentation'], 480, 640)[0]


EMPTY = mask_tools.encode(np.zeros((480, 640), np.uint8, order='F'))
TRUTHS = {
    'as drawn': lambda annotations: None,
    'half crowds': _each('iscrowd', 1, every=2),
    'all crowds': _each('iscrowd', 1),
    'ignore flag': _each('ignore', 1, every=3),
    'images without annotations': _drop_images,
    'none': lambda annotations: annotations.clear(),
    'areas at and over the limits': _each('area', 1024, 1023.99, 9216, 9216.01, 0, 1e10, 1e11),
    'masks as RLE': _rle,
    'several polygons': _each(
        'segmentation', [[1.5, 2, 90, 30, 70, 60.9], [300, 9, 400, 9, 350, 99]], every=4
    ),
    'outside of the image': _each('segmentation', [[-50, -20, 1000, 30, 700, 600]], every=4),
    'boxes without a side': _each('bbox', [5, 5, 0, 0], [5, 5, -3, 9], every=2),
    'one image': _each('image_id', 1),
    'large ids': lambda annotations: [a.update(id=a['id'] + 2**40) for a in annotations],
}
DETECTIONS = {
    'one': lambda detections: detections.__delitem__(slice(1, None)),
    'one image': _each('image_id', 1),
    'images without detections': _drop_images,
    'equal scores': _each('score', 0.5),
    'scores of all sizes': _each('score', 0.0, -0.0, -1.0, 1e-30, 1e30, 0.1 + 0.2, 0.3),
    'unknown class': _each('category_id', 999, every=5),
    'empty masks and boxes': lambda detections: [
        d.update(bbox=[9, 9, 0, 0]) if 'bbox' in d else d.update(segmentation=EMPTY) for d in detections[::3]
    ],
    'over 1000 in an image': lambda detections: detections.__setitem__(
        slice(None), [dict(d, image_id=1, category_id=1) for d in detections]
    ),
}
PARAMS = {
    'maxDets of COCO': dict(maxDets=[1, 10, 100]),
    'maxDets few': dict(maxDets=[3, 1, 2]),
    'maxDets one': dict(maxDets=[2]),
    'thresholds': dict(iouThrs=np.array([0.3, 0.5, 0.75, 1.0])),
    'classes in another order': dict(catIds=[5, 1]),
    'some images': dict(imgIds=[i * 7 + 1 for i in range(10, 1, -2)]),
    'areas': dict(areaRng=[[0, 1e10], [0, 500], [500, 4000], [4000, 1e10]]),
}


@KINDS
@pytest.mark.parametrize('case', TRUTHS)
def test_ground_truth__gives_the_digits_of_pycocotools(drawn, case, kind):
    truth = copy.deepcopy(drawn[0])
    TRUTHS[case](truth['annotations'])
    assert assert_equal(truth, drawn[1][kind], kind).engine is not None


@KINDS
@pytest.mark.parametrize('case', DETECTIONS)
def test_detections__give_the_digits_of_pycocotools(drawn, case, kind):
    detections = copy.deepcopy(drawn[1][kind])
    DETECTIONS[case](detections)
    assert assert_equal(drawn[0], detections, kind).engine is not None


@KINDS
@pytest.mark.parametrize('case', PARAMS)
def test_parameters__give_the_digits_of_pycocotools(drawn, case, kind):
    assert assert_equal(drawn[0], drawn[1][kind], kind, **PARAMS[case]).engine is not None


def test_numbers__are_not_trivial(drawn):
    stats = assert_equal(drawn[0], drawn[1]['segm'], 'segm').stats
    assert (stats > 0.05).all()
    assert (stats < 0.99).all()
    assert len(set(stats.tolist())) > 8


def _names(dataset, detections):
    for record in [*dataset['annotations'], *detections]:
        record['image_id'] = f'image {record["image_id"]}'
    for image in dataset['images']:
        image['id'] = f'image {image["id"]}'


FALLBACKS = {
    'id 0': (
        lambda t, d: _each('id', *range(len(t['annotations'])))(t['annotations']),
        'it never counts an annotation of id 0',
    ),
    'equal ids': (lambda t, d: _each('id', 1, 2, 3)(t['annotations']), 'annotations share an id'),
    'negative ids': (lambda t, d: _each('id', *range(-999, -1))(t['annotations']), 'hotcoco cannot read'),
    'images by name': (_names, 'hotcoco cannot read'),
    'NaN scores': (
        lambda t, d: _each('score', float('nan'), every=3)(d),
        'scores, areas or boxes are not finite',
    ),
}


@KINDS
@pytest.mark.parametrize('case', FALLBACKS)
def test_data_that_hotcoco_takes_otherwise__goes_to_pycocotools(drawn, caplog, monkeypatch, case, kind):
    monkeypatch.setattr(hotcoco_eval.MMLogger, 'get_current_instance', logging.getLogger)
    truth, detections = copy.deepcopy((drawn[0], drawn[1][kind]))
    change, message = FALLBACKS[case]
    change(truth, detections)
    assert assert_equal(truth, detections, kind).engine is None
    assert f'runs on pycocotools: {message}' in caplog.text


def test_boxes_that_are_not_finite__go_to_pycocotools(drawn):
    truth, detections = copy.deepcopy((drawn[0], drawn[1]['bbox']))
    _each('bbox', [0, 0, float('inf'), 5], every=3)(truth['annotations'])
    assert assert_equal(truth, detections, 'bbox').engine is None
    _each('bbox', [float('nan')] * 4, every=3)(detections)
    assert assert_equal(drawn[0], detections, 'bbox').engine is None


@pytest.mark.parametrize('key', ['iscrowd', 'area', 'segmentation'])
def test_annotation_that_pycocotools_cannot_read__is_its_error(drawn, key):
    truth = copy.deepcopy(drawn[0])
    del truth['annotations'][0][key]
    with pytest.raises(KeyError, match=key):
        run(HotcocoEval(load(truth), copy.deepcopy(drawn[1]['segm']), 'segm'), {})


def test_detections_of_unknown_images__are_refused_as_pycocotools_does(drawn):
    detections = [dict(drawn[1]['bbox'][0], image_id=10**6)]
    with pytest.raises(AssertionError, match='do not correspond to current coco set'):
        run(HotcocoEval(load(drawn[0]), detections, 'bbox'), {})


@KINDS
def test_coco_mini__gives_the_digits_of_pycocotools(coco_mini, kind):
    """Annotations of COCO, with their crowds, and detections that are moved copies of them."""
    file = sorted((coco_mini / 'annotations').glob('instances_val*.json'))[0]
    truth = json.loads(file.read_text())
    coco, rng = load(truth), np.random.default_rng(0)
    names = [category['id'] for category in truth['categories']]
    detections = []
    for annotation in truth['annotations'] * 2:
        mask = np.roll(coco.annToMask(annotation), rng.integers(-6, 7, 2), (0, 1))
        rle = mask_tools.encode(np.asfortranarray(mask))
        box = (np.array(annotation['bbox']) + rng.normal(0, 3, 4)).tolist()
        shape = dict(bbox=box) if kind == 'bbox' else dict(segmentation=rle)
        category = annotation['category_id'] if rng.random() < 0.9 else int(rng.choice(names))
        score = float(np.float32(rng.random()).round(2))
        detections.append(dict(image_id=annotation['image_id'], category_id=category, score=score, **shape))
    ours = assert_equal(truth, detections, kind)
    assert ours.engine is not None
    assert ours.stats[0] > 0.1
