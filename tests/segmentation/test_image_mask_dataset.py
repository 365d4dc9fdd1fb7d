"""The dataset of two folders pairs images of any suffix with masks of the same name."""

import numpy as np
import pytest

pytest.importorskip('mmseg')

from mask_data import CLASSES, example_mask, write_masks  # noqa: E402
from mmengine.registry import init_default_scope  # noqa: E402

from eca_mmdet.segmentation import ImageMaskDataset  # noqa: E402


@pytest.fixture
def root(tmp_path):
    for suffix, folder in (('.jpg', 'a'), ('.PNG', 'b'), ('.bmp', 'b/c')):
        write_masks(tmp_path / 'images' / folder, [np.zeros((64, 64, 3), np.uint8)], suffix)
        write_masks(tmp_path / 'masks' / folder, [example_mask(0)])
    (tmp_path / 'images/readme.txt').write_text('not an image')
    return tmp_path


def pairs(root, **options):
    prefix = dict(img_path='images', seg_map_path='masks')
    dataset = ImageMaskDataset(
        data_root=str(root), data_prefix=prefix, metainfo=dict(classes=CLASSES), pipeline=[], **options
    )
    infos = [dataset.get_data_info(index) for index in range(len(dataset))]
    return [
        tuple(info[key].removeprefix(f'{root}/') for key in ('img_path', 'seg_map_path')) for info in infos
    ]


def test_images_of_any_suffix__are_paired_with_their_masks(root):
    assert pairs(root) == [
        ('images/a/000.jpg', 'masks/a/000.png'),
        ('images/b/000.PNG', 'masks/b/000.png'),
        ('images/b/c/000.bmp', 'masks/b/c/000.png'),
    ]


def test_suffix__can_be_restricted(root):
    assert [image for image, _ in pairs(root, img_suffix='.jpg')] == ['images/a/000.jpg']


def test_annotation_file__selects_images(root):
    (root / 'names.txt').write_text('b/c/000\na/000\n')
    assert [image for image, _ in pairs(root, ann_file='names.txt')] == [
        'images/a/000.jpg',
        'images/b/c/000.bmp',
    ]


def test_sample__has_image_and_labels(root):
    init_default_scope('mmseg')
    dataset = ImageMaskDataset(
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        metainfo=dict(classes=CLASSES),
        pipeline=[dict(type='LoadImageFromFile'), dict(type='LoadAnnotations')],
    )
    assert np.array_equal(dataset[0]['gt_seg_map'], example_mask(0))
