"""``FastCocoMetric`` in cases where mmdet's ``CocoMetric`` is silently wrong or fails late."""

import copy
import json

import numpy as np
import pytest
import torch
from coco_examples import evaluate
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


def with_categories(data, path, change):
    """Change the categories of the data; return the file, ground truth and predictions."""
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


def give_same_name(categories):
    for category in categories[:2]:
        category['name'] = 'same'


@pytest.mark.parametrize(
    'options', [dict(backend='hotcoco'), dict(backend='pycocotools'), dict(use_mp_eval=True)]
)
def test_per_class_ap__does_not_depend_on_category_ids(data, tmp_path, hotcoco, options):
    renumbered = with_categories(data, tmp_path / 'truth.json', renumber)
    ascending = evaluate(FastCocoMetric(data[0], classwise=True, **options), *data[1:])
    ours = evaluate(FastCocoMetric(renumbered[0], classwise=True, **options), *renumbered[1:])
    np.testing.assert_equal(ours, ascending)
    assert len({str(value) for name, value in ours.items() if name.endswith('_precision')}) > 5


def test_per_class_table__matches_the_results(data, tmp_path, mmengine_log):
    renumbered = with_categories(data, tmp_path / 'truth.json', renumber)
    found = evaluate(FastCocoMetric(renumbered[0], classwise=True), *renumbered[1:])
    for name in (category['name'] for category in data[1]['categories']):
        assert f'| {name:8} | {found[f"coco/{name}_precision"]:.3f}' in mmengine_log.text


def test_per_class_ap__of_a_single_class_equals_the_ap(data, tmp_path):
    """mmdet computes AP with 100 detections per image, but per-class AP with 1,000."""
    truth, prediction = copy.deepcopy(data[1]), data[2][0]
    truth.update(categories=truth['categories'][:1], images=truth['images'][:1])
    truth['annotations'] = [a for a in truth['annotations'] if a['image_id'] == prediction['img_id']]
    for annotation in truth['annotations']:
        annotation['category_id'] = truth['categories'][0]['id']
    count = len(prediction['labels'])
    many = 300 // count + 1
    scores = np.concatenate([np.full(250, 0.9), np.full(count * many - 250, 0.1)]).astype(np.float32)
    boxes = np.concatenate([prediction['bboxes']] * many)
    boxes[:250] += 1000  # away from all objects
    labels, masks = np.zeros(count * many, int), prediction['masks'] * many
    found = [dict(prediction, bboxes=boxes, scores=scores, labels=labels, masks=masks)]
    path = tmp_path / 'one.json'
    path.write_text(json.dumps(truth))
    ours = evaluate(FastCocoMetric(str(path), classwise=True), truth, found)
    assert ours['coco/class0_precision'] == ours['coco/bbox_mAP'] == 0
    theirs = evaluate(CocoMetric(str(path), classwise=True), truth, found)
    assert theirs['coco/class0_precision'] > 0


def test_classes_of_the_same_name__keep_their_own_ap(data, tmp_path):
    renamed = with_categories(data, tmp_path / 'truth.json', give_same_name)
    ours = evaluate(FastCocoMetric(renamed[0], classwise=True), *renamed[1:])
    expected = evaluate(FastCocoMetric(data[0], classwise=True), *data[1:])
    assert ours['coco/same (id 1)_precision'] == expected['coco/class0_precision']
    assert ours['coco/same (id 3)_precision'] == expected['coco/class1_precision'] > 0


@pytest.mark.parametrize(('kind', 'name'), [('bbox', 'bbox_class0_precision'), ('segm', 'class0_precision')])
def test_per_class_ap__of_several_metrics_is_kept(data, kind, name):
    both = evaluate(FastCocoMetric(data[0], metric=('bbox', 'segm'), classwise=True), *data[1:])
    alone = evaluate(FastCocoMetric(data[0], metric=kind, classwise=True), *data[1:])
    assert both[f'coco/{name}'] == alone['coco/class0_precision']


@pytest.mark.parametrize('thresholds', [0.5, [0.5, 0.75], (0.5, 0.75)])
def test_iou_thrs__may_be_a_number_or_a_list(data, thresholds):
    ours = evaluate(FastCocoMetric(data[0], iou_thrs=thresholds, classwise=True), *data[1:])
    expected = evaluate(CocoMetric(data[0], iou_thrs=np.atleast_1d(thresholds)), *data[1:])
    assert {name: ours[name] for name in expected} == expected
    assert ours['coco/bbox_mAP_50'] > 0


def test_proposal_fast__supports_different_numbers_of_boxes(data):
    """mmdet builds a ragged array, which numpy 1.24 and later reject."""
    metric = FastCocoMetric(data[0], metric='proposal_fast', proposal_nums=(1, 10, 100))
    found = evaluate(metric, *data[1:])
    assert 0 < found['coco/AR@1'] < found['coco/AR@10'] <= found['coco/AR@100'] < 1


def test_proposal_fast__does_not_depend_on_the_order_of_images(data):
    found = evaluate(FastCocoMetric(data[0], metric='proposal_fast'), *data[1:])
    assert evaluate(FastCocoMetric(data[0], metric='proposal_fast'), data[1], data[2][::-1]) == found


@pytest.mark.parametrize('backend', ['auto', 'pycocotools'])
def test_proposal_fast__does_not_depend_on_earlier_metrics(data, tmp_path, backend):
    """pycocotools overwrites the annotations' ``ignore`` flags."""
    truth = copy.deepcopy(data[1])
    for annotation in truth['annotations'][::2]:
        annotation['ignore'] = 1
    path = tmp_path / 'truth.json'
    path.write_text(json.dumps(truth))
    alone = evaluate(FastCocoMetric(str(path), metric='proposal_fast'), truth, data[2])
    after = evaluate(
        FastCocoMetric(str(path), metric=['bbox', 'proposal_fast'], backend=backend), truth, data[2]
    )
    assert after['coco/AR@100'] == alone['coco/AR@100']
    assert alone != evaluate(FastCocoMetric(data[0], metric='proposal_fast'), *data[1:])


def test_proposals__run_on_pycocotools_and_the_log_states_why(data, hotcoco, mmengine_log):
    ours = evaluate(FastCocoMetric(data[0], metric='proposal', backend='hotcoco'), *data[1:])
    assert ours == evaluate(CocoMetric(data[0], metric='proposal'), *data[1:])
    assert 'runs on pycocotools: with useCats=0' in mmengine_log.text


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(metric_items=['mAP_90']), KeyError, r"\['mAP_90'\] are not supported; allowed are mAP, mAP_50"),
        (dict(proposal_nums=(100, 300)), ValueError, 'COCO needs three numbers'),
        (dict(format_only=True), ValueError, 'format_only=True needs outfile_prefix'),
    ],
)
def test_wrong_option__is_rejected_before_the_evaluation(data, options, error, message):
    with pytest.raises(error, match=message):
        FastCocoMetric(data[0], **options)


def test_unusual_proposal_nums__are_warned_about(data, mmengine_log):
    FastCocoMetric(data[0], proposal_nums=(20, 1, 5))
    assert (
        'named AR@100, AR@300 and AR@1000, but are computed with 1, 5 and 20 detections' in mmengine_log.text
    )
    assert 'mAP is computed with 100 detections per image' in mmengine_log.text


@pytest.mark.parametrize(
    ('change', 'options', 'message'),
    [
        (
            lambda p: p['labels'].__setitem__(0, 12),
            {},
            r'labels \[12\], .* 12 classes \(labels 0 to 11\)',
        ),
        (lambda p: p['labels'].__setitem__(0, -1), {}, r'labels \[-1\]'),
        (lambda p: p.update(img_id=999), {}, 'image 999 is not in the annotation file'),
        (lambda p: p.pop('masks'), dict(metric=['bbox', 'segm']), "metric='segm' needs masks"),
    ],
)
def test_wrong_prediction__is_rejected_at_once(data, change, options, message):
    metric = FastCocoMetric(data[0], **options)
    metric.dataset_meta = dict(classes=[category['name'] for category in data[1]['categories']])
    prediction = copy.deepcopy(data[2][0])
    change(prediction)
    fields = {key: torch.as_tensor(prediction[key]) for key in ('bboxes', 'scores', 'labels')}
    masks = dict(masks=prediction['masks']) if 'masks' in prediction else {}
    sample = dict(img_id=prediction['img_id'], ori_shape=(480, 640), pred_instances=dict(fields, **masks))
    with pytest.raises(ValueError, match=message):
        metric.process({}, [sample])
