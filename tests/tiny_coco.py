"""A tiny COCO data set as a dict, and what mmdet makes of it: loading for training and evaluating."""

import json
from copy import deepcopy

import numpy as np
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.evaluation import CocoMetric

CONFIG = 'eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py'
CLASSES = ('circle', 'square')


def tiny_coco():
    """Three images of 40 x 60 pixels, each with an object; masks in all three forms."""
    masks = [
        [[5, 5, 25, 5, 25, 25, 5, 25]],
        dict(size=[40, 60], counts=[400, 1600, 400]),
        dict(size=[40, 60], counts='`<Pb1`<'),
    ]
    return dict(
        images=[dict(id=i, file_name=f'{i}.jpg', height=40, width=60) for i in (1, 2, 3)],
        categories=[dict(id=3, name='circle'), dict(id=7, name='square')],
        annotations=[
            dict(id=10 + i, image_id=i, category_id=(3, 7, 3)[i - 1], bbox=[5, 5, 20, 20], area=400,
                 iscrowd=0, segmentation=masks[i - 1])
            for i in (1, 2, 3)
        ],
    )  # fmt: skip


def load(path, with_mask=False, poly2mask=True, is_trained=True, classes=CLASSES):
    """Read a file as mmdet does, and parse the annotations of each image."""
    rules = dict(filter_empty_gt=True, min_size=8) if is_trained else None
    dataset = CocoDataset(
        ann_file=str(path), metainfo=dict(classes=classes), data_prefix=dict(img=''), filter_cfg=rules,
        test_mode=not is_trained, pipeline=[],
    )  # fmt: skip
    reads = LoadAnnotations(with_bbox=True, with_mask=with_mask, poly2mask=poly2mask)
    samples = []
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        samples.append(reads({**sample, 'ori_shape': (sample['height'], sample['width'])}))
    return samples


def evaluate(path, metric, truth, classes=CLASSES):
    """Evaluate one detection on each image with mmdet's metric; return its results."""
    evaluator = CocoMetric(str(path), metric)
    evaluator.dataset_meta = dict(classes=classes)
    mask = dict(size=[40, 60], counts='`<Pb1`<')
    found = [
        (
            {},
            dict(img_id=image['id'], bboxes=np.array([[5.0, 5, 25, 25]]), scores=np.array([0.9]),
                 labels=np.array([0]), masks=[deepcopy(mask)]),
        )
        for image in truth['images']
    ]  # fmt: skip
    return evaluator.compute_metrics(found)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def change(data, split, edit):
    """Edit the annotations of a split of the drawn shapes."""
    path = data / f'annotations/instances_{split}2017.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def printed(capsys):
    """What a test has printed since it was last asked."""
    return ''.join(capsys.readouterr())
