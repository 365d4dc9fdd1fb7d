"""A tiny dataset of semantic segmentation, and the config that reads it."""

from pathlib import Path

import cv2
import numpy as np

CLASSES = ('background', 'square', 'bar')


def write_masks(folder, masks, suffix='.png'):
    for index, labels in enumerate(masks):
        path = Path(folder) / f'{index:03d}{suffix}'
        path.parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(path), labels)


def example_mask(index, size=64):
    labels = np.zeros((size, size), np.uint8)
    labels[8 + index : 30 + index, 10:40] = 1
    labels[45:52, 5 + index :] = 2
    labels[:3] = 255
    return labels


def write_dataset(root, train=4, val=2):
    """Write images whose colours are those of their labels."""
    for split, count in (('train', train), ('val', val)):
        masks = [example_mask(index) for index in range(count)]
        write_masks(root / 'masks' / split, masks)
        write_masks(root / 'images' / split, [np.dstack([m * 80, 255 - m, m]) for m in masks], '.jpg')
    return root


LEAF = """_base_ = [
    'eca_mmdet::segmentation/_base_/semfpn_ecanet18_scratch.py',
    'eca_mmdet::segmentation/_base_/image_masks.py',
    'eca_mmdet::segmentation/_base_/schedule_20k.py',
]
data_root = '{root}/'
dataset = dict(data_root=data_root, metainfo=dict(classes={classes}))
train_dataloader = dict(
    dataset=dict(**dataset, data_prefix=dict(img_path='images/train', seg_map_path='masks/train'))
)
val_dataloader = dict(
    dataset=dict(**dataset, data_prefix=dict(img_path='images/val', seg_map_path='masks/val'))
)
test_dataloader = val_dataloader
model = dict(data_preprocessor=dict(size=(64, 64)), decode_head=dict(num_classes={count}))
"""
"""A config of a user, as docs/segmentation.md shows it."""


def write_config(folder, root, classes=CLASSES):
    path = Path(folder) / 'mine.py'
    path.write_text(LEAF.format(root=root, classes=classes, count=len(classes)))
    return path
