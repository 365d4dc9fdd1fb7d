"""Panoptic quality against a restatement of its definition and against hotcoco."""

import json

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.structures import PixelData
from panoptic_data import CATEGORIES, CLASSES, random_image, segment, write_png

from eca_mmdet.evaluation import PanopticMetric, collect_results, results_table, split_by_type
from eca_mmdet.evaluation.panoptic_quality import class_qualities, count_segments, mean_quality

LABELS, THINGS = len(CLASSES), 2


def restate(images):
    """Return PQ, SQ and RQ of each label by the definition, from the mask of each segment."""
    rows = []
    for label in range(LABELS):
        ious, fp, fn = [], 0, 0
        for truth, segments, predicted in images:
            void, crowd = truth == 0, np.zeros(truth.shape, bool)
            true_masks, predicted_masks = [], []
            for key, other, iscrowd in segments:
                if other == label and iscrowd:
                    crowd = truth == key  # the last one, as in panopticapi
                elif other == label:
                    true_masks.append(truth == key)
            for key in np.unique(predicted):
                if key % 1000 == label:
                    predicted_masks.append(predicted == key)
            for mask in predicted_masks:
                found = [(mask & true).sum() / ((mask & ~void) | true).sum() for true in true_masks]
                match = [iou for iou in found if iou > 0.5]
                ious += match
                fp += not match and (mask & (void | crowd)).sum() <= 0.5 * mask.sum()
            for true in true_masks:
                fn += not any((m & true).sum() / ((m & ~void) | true).sum() > 0.5 for m in predicted_masks)
        if len(ious) + fp + fn:
            total = len(ious) + fp / 2 + fn / 2
            rows.append([sum(ious) / total, sum(ious) / max(len(ious), 1), len(ious) / total])
        else:
            rows.append([np.nan] * 3)
    return np.array(rows)


def make_images(seed):
    rng = np.random.default_rng(seed)
    return [random_image(rng, LABELS, THINGS) for _ in range(1 + seed % 8)]


def count(truth, segments, predicted):
    info = [dict(segment(truth, key, label), iscrowd=crowd) for key, label, crowd in segments]
    labels = {key: key % 1000 for key in np.unique(predicted).tolist() if key % 1000 < LABELS}
    return count_segments(truth, info, predicted, labels, {i: i for i in range(LABELS)})


@pytest.mark.parametrize('seed', range(40))
def test_quality__equals_its_definition(seed):
    images = make_images(seed)
    found = class_qualities(sum(count(*image) for image in images))
    np.testing.assert_allclose(found, restate(images), rtol=0, atol=1e-9)


def test_random_images__have_all_kinds_of_matches():
    """The comparison above needs matches, errors of both kinds, and labels that do not occur."""
    total = sum(count(*image) for seed in range(40) for image in make_images(seed))
    assert (total > 20).all()
    assert any(np.isnan(restate(make_images(seed))).any() for seed in range(40))


def test_mean__ignores_labels_without_segments():
    rows = np.array([[0.5, 1, 0.5], [np.nan] * 3, [0, 0, 0]])
    assert mean_quality(rows).tolist() == [0.25, 0.5, 0.25]
    assert np.isnan(mean_quality(rows, np.array([False, True, False]))).all()


@pytest.fixture
def evaluated(tmp_path):
    """Folder with true and predicted annotations of random images, and the images."""
    images, contents = make_images(7), {}
    for kind in ('truth', 'predicted'):
        annotations = []
        for number, (truth, segments, predicted) in enumerate(images):
            ids = truth if kind == 'truth' else np.where(predicted % 1000 < LABELS, predicted + 1, 0)
            if kind == 'predicted':
                segments = [(key, (key - 1) % 1000, 0) for key in np.unique(ids).tolist() if key]
            info = [
                dict(segment(ids, int(i), CATEGORIES[label]['id']), iscrowd=c) for i, label, c in segments
            ]
            annotations.append(dict(image_id=number, file_name=f'{number}.png', segments_info=info))
            write_png(tmp_path / kind / f'{number}.png', ids)
        listed = [dict(id=i, file_name=f'{i}.jpg', height=24, width=24) for i in range(len(images))]
        contents[kind] = dict(images=listed, annotations=annotations, categories=CATEGORIES)
        (tmp_path / f'{kind}.json').write_text(json.dumps(contents[kind]))
    return tmp_path, images


def run_metric(folder, images, **options):
    metric = PanopticMetric(str(folder / 'truth.json'), str(folder / 'truth'), **options)
    metric.dataset_meta = dict(classes=CLASSES)
    for number, (_, _, predicted) in enumerate(images):
        sample = DetDataSample(metainfo=dict(img_id=number))
        sample.pred_panoptic_seg = PixelData(sem_seg=torch.tensor(predicted)[None])
        metric.process({}, [sample.to_dict()])
    return metric.evaluate(len(images))


def test_metric__equals_hotcoco(evaluated, hotcoco):
    folder, images = evaluated
    found = run_metric(folder, images, classwise=True)
    truth, predicted = (str(folder / f'{kind}.json') for kind in ('truth', 'predicted'))
    evaluation = hotcoco.panoptic.PanopticEval(truth, predicted)
    evaluation.evaluate()
    results = evaluation.results()
    for group, suffix in (('All', ''), ('Things', '_th'), ('Stuff', '_st')):
        for name in ('PQ', 'SQ', 'RQ'):
            expected = 100 * results[group][name.lower()]
            assert found[f'coco_panoptic/{name}{suffix}'] == pytest.approx(expected, abs=1e-9)
    for category in CATEGORIES:
        expected = 100 * results['per_class'][category['id']]['pq']
        assert found[f'coco_panoptic/{category["name"]}_PQ'] == pytest.approx(expected, abs=1e-9)


def test_prediction_of_another_size__is_rejected(evaluated):
    folder, images = evaluated
    with pytest.raises(
        ValueError, match=r'0.png has height and width \(24, 24\).* prediction has \(12, 24\)'
    ):
        run_metric(folder, [(None, None, images[0][2][:12])])


def test_unknown_label__is_rejected(evaluated):
    folder, images = evaluated
    with pytest.raises(ValueError, match=r'labels \[5\], but the data has 4 classes.*num_things_classes'):
        run_metric(folder, [(None, None, np.full((24, 24), 1005))])


def test_results__are_one_table_and_the_pq_of_each_class():
    metrics = {
        f'panoptic/{name}{suffix}': 1.0 for name in ('PQ', 'SQ', 'RQ') for suffix in ('', '_th', '_st')
    }
    metrics = {**metrics, 'panoptic/PQ_st': float('nan'), 'panoptic/sky_PQ': 7.0}
    results = collect_results(metrics)
    assert results['panoptic']['per_class'] == {'sky': 7.0}
    assert results['panoptic']['PQ_st'] is None
    rows = [[cell for cell in line.split() if cell != '|'] for line in results_table(results).splitlines()]
    assert ['panoptic', 'stuff', '-', '1.000', '1.000'] in rows
    assert ['class', 'panoptic', 'PQ'] in rows
    assert ['sky', '7.000'] in rows


def test_classwise__is_passed_to_the_metric():
    (metric,) = split_by_type(dict(type='PanopticMetric', ann_file='a.json', seg_prefix='a'), classwise=True)
    assert (metric['prefix'], metric['classwise']) == ('panoptic', True)
