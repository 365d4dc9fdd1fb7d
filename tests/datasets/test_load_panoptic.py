"""Loading of panoptic PNG files."""

import cv2
import numpy as np
from mmdet.registry import DATASETS
from panoptic_data import CLASSES, make_panoptic

import eca_mmdet  # noqa: F401


def test_load_panoptic__loads_masks_of_things_and_labels_of_all_segments(tmp_path):
    folder = make_panoptic(tmp_path, train=1, val=0)
    dataset = DATASETS.build(
        dict(
            type='CocoPanopticDataset',
            ann_file=f'{folder}/annotations/panoptic_train2017.json',
            data_prefix=dict(img=f'{folder}/train2017', seg=f'{folder}/annotations/panoptic_train2017'),
            metainfo=dict(classes=CLASSES),
            pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadPanoptic')],
        )
    )
    sample = dataset[0]
    blue, green, red = (
        cv2.imread(f'{folder}/annotations/panoptic_train2017/1.png').astype(int).transpose(2, 0, 1)
    )
    ids = red + 256 * green + 65536 * blue
    labels = np.select([ids == key for key in (7, 8, 300, 70000)], range(4), 255)
    assert set(np.unique(labels)) == {0, 1, 2, 3, 255}
    np.testing.assert_array_equal(sample['gt_seg_map'], labels)
    np.testing.assert_array_equal(sample['gt_masks'].masks, [ids == 7, ids == 8])
    assert sample['gt_bboxes_labels'].tolist() == [0, 1]
