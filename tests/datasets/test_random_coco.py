"""Random COCO data."""

import numpy as np
from mmdet.datasets.api_wrappers import COCO
from pycocotools import mask as mask_tools

from eca_mmdet.datasets.random_coco import random_coco


def test_annotations__match_their_masks():
    truth, _ = random_coco(60, seed=1)
    coco = COCO()
    coco.dataset = truth
    coco.createIndex()
    assert {a['iscrowd'] for a in truth['annotations']} == {0, 1}
    for annotation in truth['annotations']:
        rle = coco.annToRLE(annotation)
        assert mask_tools.area(rle) == annotation['area']
        if not annotation['iscrowd']:
            corners = np.array(annotation['segmentation'][0]).reshape(-1, 2)
            expected = [*corners.min(0), *np.ptp(corners, 0)]
            np.testing.assert_allclose(annotation['bbox'], expected, atol=0.01)


def test_statistics__are_similar_to_coco():
    truth, predictions = random_coco(400, seed=2)
    annotations = truth['annotations']
    assert 6.5 < len(annotations) / 400 < 8.5
    assert 0.004 < np.mean([a['iscrowd'] for a in annotations]) < 0.03
    assert len({image['id'] for image in truth['images']} - {a['image_id'] for a in annotations}) > 0
    area = np.array([a['area'] for a in annotations])
    assert min(np.mean(area < 32**2), np.mean(area > 96**2), np.mean((area > 32**2) & (area < 96**2))) > 0.1
    scores = np.concatenate([p['scores'] for p in predictions])
    assert len(np.unique(scores)) < len(scores) / 4
    assert 3.5 < len(scores) / len(annotations) < 4.5


def test_same_seed__gives_the_same_data():
    first, second, other = (random_coco(3, seed=seed) for seed in (0, 0, 1))
    assert first[0] == second[0]
    np.testing.assert_equal(first[1], second[1])
    assert first[0] != other[0]
