"""What ``FastCocoMetric`` does where mmdet's ``CocoMetric`` is silently wrong or fails late."""

import copy
import json

import numpy as np
import pytest
import torch
from coco_examples import capture_log, feed
from mmdet.evaluation import CocoMetric

from eca_mmdet.datasets.random_coco import random_coco
from eca_mmdet.evaluation import FastCocoMetric


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Twelve classes, most of them with objects."""
    truth, predictions = random_coco(12, classes=12, per_image=12, detections=5, seed=5)
    path = tmp_path_factory.mktemp('coco') / 'truth.json'
    path.write_text(json.dumps(truth))
    return str(path), truth, predictions


@pytest.fixture
def hotcoco():
    return pytest.importorskip('hotcoco')


@pytest.fixture
def log(monkeypatch, caplog):
    return capture_log(monkeypatch, caplog)


def with_categories(data, path, change):
    """The same data with other categories; returns file, truth and predictions."""
    truth = copy.deepcopy(data[1])
    old = [category['id'] for category in truth['categories']]
    change(truth['categories'])
    new = {key: category['id'] for key, category in zip(old, truth['categories'])}
    for annotation in truth['annotations']:
        annotation['category_id'] = new[annotation['category_id']]
    path.write_text(json.dumps(truth))
    return str(path), truth, data[2]


def renumber(categories):
    for index, category in enumerate(categories):
        category['id'] = 5 * index % len(categories)


def same_name(categories):
    for category in categories[:2]:
        category['name'] = 'same'


@pytest.mark.parametrize(
    'options', [dict(backend='hotcoco'), dict(backend='pycocotools'), dict(use_mp_eval=True)]
)
def test_per_class_ap__does_not_hang_on_the_ids_of_the_classes(data, tmp_path, hotcoco, options):
    renumbered = with_categories(data, tmp_path / 'truth.json', renumber)
    ascending = feed(FastCocoMetric(data[0], classwise=True, **options), *data[1:])
    ours = feed(FastCocoMetric(renumbered[0], classwise=True, **options), *renumbered[1:])
    np.testing.assert_equal(ours, ascending)
    assert len({str(value) for name, value in ours.items() if name.endswith('_precision')}) > 5


def test_per_class_table__has_the_classes_of_the_results(data, tmp_path, log):
    renumbered = with_categories(data, tmp_path / 'truth.json', renumber)
    found = feed(FastCocoMetric(renumbered[0], classwise=True), *renumbered[1:])
    for name in (category['name'] for category in data[1]['categories']):
        assert f'| {name:8} | {found[f"coco/{name}_precision"]:.3f}' in log.text


def test_per_class_ap__of_the_only_class_is_the_ap(data, tmp_path):
    """mmdet takes AP at 100 detections an image and that of a class at 1,000."""
    truth, prediction = copy.deepcopy(data[1]), data[2][0]
    truth.update(categories=truth['categories'][:1], images=truth['images'][:1])
    truth['annotations'] = [a for a in truth['annotations'] if a['image_id'] == prediction['img_id']]
    for annotation in truth['annotations']:
        annotation['category_id'] = truth['categories'][0]['id']
    count = len(prediction['labels'])
    many = 300 // count + 1
    scores = np.concatenate([np.full(250, 0.9), np.full(count * many - 250, 0.1)]).astype(np.float32)
    boxes = np.concatenate([prediction['bboxes']] * many)
    boxes[:250] += 1000  # where nothing is
    found = dict(prediction, bboxes=boxes, scores=scores, labels=np.zeros(count * many, int))
    path = tmp_path / 'one.json'
    path.write_text(json.dumps(truth))
    ours = feed(FastCocoMetric(str(path), classwise=True), truth, [{**found, 'masks': found['masks'] * many}])
    assert ours['coco/class0_precision'] == ours['coco/bbox_mAP'] == 0
    theirs = feed(CocoMetric(str(path), classwise=True), truth, [{**found, 'masks': found['masks'] * many}])
    assert theirs['coco/class0_precision'] > 0


def test_classes_of_the_same_name__each_keep_their_ap(data, tmp_path):
    same = with_categories(data, tmp_path / 'truth.json', same_name)
    ours = feed(FastCocoMetric(same[0], classwise=True), *same[1:])
    expected = feed(FastCocoMetric(data[0], classwise=True), *data[1:])
    assert ours['coco/same (id 1)_precision'] == expected['coco/class0_precision']
    assert ours['coco/same (id 3)_precision'] == expected['coco/class1_precision'] > 0


@pytest.mark.parametrize(('kind', 'name'), [('bbox', 'bbox_class0_precision'), ('segm', 'class0_precision')])
def test_classes_of_several_metrics__are_all_kept(data, kind, name):
    both = feed(FastCocoMetric(data[0], metric=('bbox', 'segm'), classwise=True), *data[1:])
    alone = feed(FastCocoMetric(data[0], metric=kind, classwise=True), *data[1:])
    assert both[f'coco/{name}'] == alone['coco/class0_precision']


@pytest.mark.parametrize('thresholds', [0.5, [0.5, 0.75], (0.5, 0.75)])
def test_thresholds__may_be_a_number_or_a_list_as_in_a_config(data, thresholds):
    ours = feed(FastCocoMetric(data[0], iou_thrs=thresholds, classwise=True), *data[1:])
    expected = feed(CocoMetric(data[0], iou_thrs=np.atleast_1d(thresholds)), *data[1:])
    assert {name: ours[name] for name in expected} == expected
    assert ours['coco/bbox_mAP_50'] > 0


def test_fast_proposals__work_with_any_number_of_boxes(data):
    """numpy 1.24 and later refuse mmdet's array of arrays of different lengths."""
    metric = FastCocoMetric(data[0], metric='proposal_fast', proposal_nums=(1, 10, 100))
    found = feed(metric, *data[1:])
    assert 0 < found['coco/AR@1'] < found['coco/AR@10'] <= found['coco/AR@100'] < 1


def test_fast_proposals__do_not_hang_on_the_order_of_images(data):
    found = feed(FastCocoMetric(data[0], metric='proposal_fast'), *data[1:])
    assert feed(FastCocoMetric(data[0], metric='proposal_fast'), data[1], data[2][::-1]) == found


@pytest.mark.parametrize('backend', ['auto', 'pycocotools'])
def test_fast_proposals__do_not_hang_on_the_metrics_before_them(data, tmp_path, backend):
    """pycocotools overwrites the annotations' ``ignore`` flags."""
    truth = copy.deepcopy(data[1])
    for annotation in truth['annotations'][::2]:
        annotation['ignore'] = 1
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(truth))
    alone = feed(FastCocoMetric(str(path), metric='proposal_fast'), truth, data[2])
    after = feed(FastCocoMetric(str(path), metric=['bbox', 'proposal_fast'], backend=backend), truth, data[2])
    assert after['coco/AR@100'] == alone['coco/AR@100']
    assert alone != feed(FastCocoMetric(data[0], metric='proposal_fast'), *data[1:])


def test_proposals__run_on_pycocotools_and_the_log_says_why(data, hotcoco, log):
    ours = feed(FastCocoMetric(data[0], metric='proposal', backend='hotcoco'), *data[1:])
    assert ours == feed(CocoMetric(data[0], metric='proposal'), *data[1:])
    assert 'runs on pycocotools: with useCats=0' in log.text


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(metric_items=['mAP_90']), KeyError, r"\['mAP_90'\] are not supported; allowed are mAP, mAP_50"),
        (dict(proposal_nums=(100, 300)), ValueError, 'COCO needs three'),
        (dict(format_only=True), ValueError, 'format_only=True needs outfile_prefix'),
    ],
)
def test_option_that_would_fail_after_the_evaluation__is_refused_before(data, options, error, message):
    with pytest.raises(error, match=message):
        FastCocoMetric(data[0], **options)


def test_numbers_of_detections_that_are_not_mmdets__are_told(data, log):
    FastCocoMetric(data[0], proposal_nums=(20, 1, 5))
    assert 'AR@100, AR@300 and AR@1000 stay, and stand for 1, 5 and 20 detections an image' in log.text
    assert 'mAP is taken at 100 detections an image' in log.text


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (
            lambda p: p['labels'].__setitem__(0, 12),
            {},
            r'labels \[12\], .* 12 classes, labels 0 to 11',
        ),
        (lambda p: p['labels'].__setitem__(0, -1), {}, r'labels \[-1\]'),
        (lambda p: p.update(img_id=999), {}, 'image 999 is not in the annotation file'),
        (lambda p: p.pop('masks'), dict(metric=['bbox', 'segm']), "metric='segm' needs masks"),
    ],
)
def test_prediction_that_cannot_be_evaluated__is_refused_at_once(data, change, options, message):
    metric = FastCocoMetric(data[0], **options)
    metric.dataset_meta = dict(classes=[category['name'] for category in data[1]['categories']])
    prediction = copy.deepcopy(data[2][0])
    change(prediction)
    fields = {key: torch.as_tensor(prediction[key]) for key in ('bboxes', 'scores', 'labels')}
    masks = dict(masks=prediction['masks']) if 'masks' in prediction else {}
    sample = dict(img_id=prediction['img_id'], ori_shape=(480, 640), pred_instances=dict(fields, **masks))
    with pytest.raises(ValueError, match=message):
        metric.process({}, [sample])
