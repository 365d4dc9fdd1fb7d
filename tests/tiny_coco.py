"""A tiny COCO dataset as a dict, and helpers that load, evaluate and edit annotation files."""

import json
from copy import deepcopy

import numpy as np
from mmdet.datasets import CocoDataset
from mmdet.datasets.transforms import LoadAnnotations
from mmdet.evaluation import CocoMetric

CONFIG = 'eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py'
CLASSES = ('circle', 'square')


def tiny_coco():
    """Create three images of 40 x 60 pixels with one object each, and masks in all three formats."""
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
    """Load a file with mmdet, including the annotations of each image."""
    filter_cfg = dict(filter_empty_gt=True, min_size=8) if is_trained else None
    dataset = CocoDataset(
        ann_file=str(path), metainfo=dict(classes=classes), data_prefix=dict(img=''), filter_cfg=filter_cfg,
        test_mode=not is_trained, pipeline=[],
    )  # fmt: skip
    load_annotations = LoadAnnotations(with_bbox=True, with_mask=with_mask, poly2mask=poly2mask)
    samples = []
    for index in range(len(dataset)):
        sample = dataset.get_data_info(index)
        samples.append(load_annotations({**sample, 'ori_shape': (sample['height'], sample['width'])}))
    return samples


def evaluate(path, metric, content, classes=CLASSES):
    """Evaluate one detection per image with mmdet's ``CocoMetric``."""
    evaluator = CocoMetric(str(path), metric)
    evaluator.dataset_meta = dict(classes=classes)
    mask = dict(size=[40, 60], counts='`<Pb1`<')
    predictions = [
        (
            {},
            dict(img_id=image['id'], bboxes=np.array([[5.0, 5, 25, 25]]), scores=np.array([0.9]),
                 labels=np.array([0]), masks=[deepcopy(mask)]),
        )
        for image in content['images']
    ]  # fmt: skip
    return evaluator.compute_metrics(predictions)


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def change(data, split, edit):
    """Edit the annotation file of a split of the shapes dataset."""
    path = data / f'annotations/instances_{split}2017.json'
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def printed(capsys):
    """Return the output since the last call."""
    return ''.join(capsys.readouterr())
