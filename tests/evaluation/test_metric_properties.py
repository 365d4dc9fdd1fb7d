"""``FastCocoMetric`` and ``HotcocoEval`` against pycocotools on random data with random options."""

import contextlib
import io
import json

import numpy as np
import pytest
from coco_examples import coco_examples, evaluate_with_pycocotools, load, run
from hypothesis import given
from hypothesis import strategies as st

from eca_mmdet.evaluation import FastCocoMetric
from eca_mmdet.evaluation.coco_options import ITEMS
from eca_mmdet.evaluation.hotcoco_eval import HotcocoEval

BACKENDS = pytest.mark.parametrize('backend', ['auto', 'pycocotools'])
KINDS = pytest.mark.parametrize('kind', ['bbox', 'segm'])
THRESHOLDS = st.lists(
    st.sampled_from([0.05, 0.3, 0.5, 0.55, 0.75, 0.95, 1.0]), min_size=1, max_size=4, unique=True
).map(np.array)
NUMBERS = st.lists(st.integers(1, 8) | st.just(100), min_size=3, max_size=4)
AREAS = st.lists(
    st.tuples(st.sampled_from([0, 30, 1024]), st.sampled_from([50, 5000, 1e10])), min_size=4, max_size=4
)
COCO_THRESHOLDS = [0.5 + 0.05 * step for step in range(10)]


@pytest.fixture(scope='module', autouse=True)
def _hotcoco():
    pytest.importorskip('hotcoco')


@pytest.fixture(scope='module')
def truth_file(tmp_path_factory):
    return tmp_path_factory.mktemp('coco') / 'truth.json'


def compute_metrics(example, file, classes=None, **options):
    """Compute the metrics of ``FastCocoMetric`` with an annotation file, as in a config."""
    file.write_text(json.dumps(example.truth))
    with contextlib.redirect_stdout(io.StringIO()):
        metric = FastCocoMetric(str(file), **options)
        metric.dataset_meta = dict(classes=classes or example.names)
        return metric.compute_metrics([({}, prediction) for prediction in example.predictions])


@KINDS
@given(data=st.data(), example=coco_examples())
def test_hotcoco__equals_pycocotools_with_any_parameters(kind, data, example):
    """hotcoco is not used for parameters that it does not support."""
    categories = [category['id'] for category in example.truth['categories']]
    images = [image['id'] for image in example.truth['images']]
    params = dict(
        iouThrs=data.draw(THRESHOLDS, 'iouThrs'),
        maxDets=data.draw(NUMBERS, 'maxDets'),
        catIds=data.draw(st.lists(st.sampled_from(categories), min_size=1), 'catIds'),
        imgIds=data.draw(st.lists(st.sampled_from(images), min_size=1), 'imgIds'),
        areaRng=data.draw(AREAS, 'areaRng'),
        useCats=data.draw(st.sampled_from([1, 1, 0]), 'useCats'),
    )
    expected = evaluate_with_pycocotools(example, kind, **params)
    ours = run(HotcocoEval(load(example.truth), example.detections(kind), kind), **params)
    for name in ('precision', 'recall', 'scores'):
        np.testing.assert_array_equal(ours.eval[name], expected.eval[name], strict=True)
    np.testing.assert_array_equal(ours.stats, expected.stats, strict=True)
    is_unsupported = not params['useCats'] or len(set(params['areaRng'])) < len(params['areaRng'])
    assert (ours.engine is None) == is_unsupported


@BACKENDS
@pytest.mark.parametrize('metric', ['bbox', 'segm', 'proposal'])
@given(data=st.data(), example=coco_examples())
def test_metric__equals_pycocotools_with_any_options(backend, metric, truth_file, data, example):
    thresholds, numbers = data.draw(THRESHOLDS, 'iou_thrs'), data.draw(NUMBERS, 'proposal_nums')
    items = data.draw(st.lists(st.sampled_from(list(ITEMS)), unique=True), 'metric_items')
    options = dict(iou_thrs=thresholds.tolist(), proposal_nums=numbers, metric_items=items)
    found = compute_metrics(example, truth_file, metric=metric, backend=backend, **options)
    stats = evaluate_with_pycocotools(
        example,
        'segm' if metric == 'segm' else 'bbox',
        iouThrs=thresholds,
        maxDets=numbers,
        catIds=[category['id'] for category in example.truth['categories']],
        useCats=int(metric != 'proposal'),
    ).stats
    prefix = '' if metric == 'proposal' else f'{metric}_'
    expected = {f'{prefix}{item}': stats[ITEMS[item]] for item in items}
    assert list(found) == list(expected)
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=0, atol=0.0005001)


@BACKENDS
@KINDS
@given(data=st.data(), example=coco_examples())
def test_per_class_ap__equals_the_ap_of_the_class_alone(backend, kind, truth_file, data, example):
    """Ids and ``metainfo.classes`` are in any order. Some categories of the file may not be used."""
    names = data.draw(st.permutations(example.names), 'classes')
    used = set(names[: data.draw(st.integers(1, len(names)))])
    kept = [category for category in example.truth['categories'] if category['name'] in used]
    labels = {example.truth['categories'].index(category): label for label, category in enumerate(kept)}
    predictions = [_relabel(prediction, labels) for prediction in example.predictions]
    options = dict(metric=kind, backend=backend, classwise=True)
    classes = [name for name in names if name in used]
    found = compute_metrics(example._replace(predictions=predictions), truth_file, classes, **options)
    if not any(len(prediction['labels']) for prediction in predictions):
        assert found == {}
        return
    for category in kept:
        alone = evaluate_with_pycocotools(
            example, kind, catIds=[category['id']], maxDets=[100, 300, 1000]
        ).stats[0]
        expected = np.nan if alone < 0 else round(alone, 3)
        np.testing.assert_equal(found[f'{category["name"]}_precision'], expected)
    assert sum(name.endswith('_precision') for name in found) == len(kept)


def _relabel(prediction, labels):
    kept = [index for index, label in enumerate(prediction['labels'].tolist()) if label in labels]
    return dict(
        prediction,
        bboxes=prediction['bboxes'][kept],
        scores=prediction['scores'][kept],
        labels=np.array([labels[prediction['labels'][index]] for index in kept], np.int64),
        masks=[prediction['masks'][index] for index in kept],
    )


@given(example=coco_examples(), numbers=st.lists(st.integers(1, 5), min_size=1, max_size=3))
def test_proposal_fast__equals_a_plain_implementation(truth_file, example, numbers):
    options = dict(metric='proposal_fast', proposal_nums=numbers, iou_thrs=COCO_THRESHOLDS)
    found = compute_metrics(example, truth_file, **options)
    for number in numbers:
        best = [_best_overlaps(example, prediction, number) for prediction in example.predictions]
        overlaps = np.concatenate(best)
        expected = (
            np.mean([np.mean(overlaps >= threshold) for threshold in COCO_THRESHOLDS])
            if len(overlaps)
            else np.nan
        )
        np.testing.assert_allclose(found[f'AR@{number}'], expected, atol=1e-12)


def _best_overlaps(example, prediction, number):
    """Match boxes to objects by decreasing overlap. Return the overlap of each object."""
    truth = [
        annotation['bbox']
        for annotation in example.truth['annotations']
        if annotation['image_id'] == prediction['img_id'] and not annotation['iscrowd']
    ]
    order = sorted(range(len(prediction['scores'])), key=lambda i: -prediction['scores'][i])[:number]
    boxes = prediction['bboxes'][order].tolist()
    overlaps = np.array([[_overlap(box, (x, y, x + w, y + h)) for box in boxes] for x, y, w, h in truth])
    best = np.zeros(len(truth))
    while overlaps.size and overlaps.max() >= 0:
        row, column = np.unravel_index(overlaps.argmax(), overlaps.shape)
        best[row] = overlaps[row, column]
        overlaps[row], overlaps[:, column] = -1, -1
    return best


def _overlap(a, b):
    width, height = (min(a[2 + k], b[2 + k]) - max(a[k], b[k]) for k in (0, 1))
    shared = max(width, 0) * max(height, 0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)
