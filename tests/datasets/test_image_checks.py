"""Checks that the image files of a dataset exist."""

import re
from pathlib import Path

import pytest
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS, TRANSFORMS
from tiny_coco import change, printed

from eca_mmdet.datasets.dataset_checks import check_datasets
from eca_mmdet.datasets.image_checks import missing_files


@TRANSFORMS.register_module()
class LoadCustomImages(LoadImageFromFile):
    """Custom class that finds images in another way."""

    def transform(self, results):
        return results


@TRANSFORMS.register_module()
class MoveImages(BaseTransform):
    """Custom class that changes the paths of images."""

    def transform(self, results):
        return results


@DATASETS.register_module()
class SelectingDataset(CocoDataset):
    """Custom class with its own filter."""

    def filter_data(self):
        return self.data_list[:2]


@pytest.mark.parametrize(
    ('transforms', 'reason'),
    [
        ([dict(type='LoadCustomImages')], 'does not begin with LoadImageFromFile'),
        ([dict(type='MoveImages'), dict(type='LoadImageFromFile')], 'does not begin with LoadImageFromFile'),
        ([dict(type='LoadImageFromFile', file_client_args=dict(backend='lmdb', db_path='a'))], 'local disk'),
        ([dict(type='LoadImageFromFile', backend_args=dict(backend='lmdb', db_path='a'))], 'local disk'),
    ],
)
def test_images_found_by_custom_transforms__are_not_checked(data, cfg, capsys, transforms, reason):
    (data / 'train2017/000003.jpg').unlink()
    cfg.train_dataloader.dataset.pipeline[:1] = transforms
    check_datasets(cfg, ['train'])
    assert re.search(f'images of train_dataloader.dataset were not checked: .*{reason}', printed(capsys))


def test_images_selected_by_a_custom_dataset__are_not_checked(data, cfg, capsys):
    (data / 'train2017/000003.jpg').unlink()
    cfg.train_dataloader.dataset.type = 'SelectingDataset'
    check_datasets(cfg, ['train'])
    assert (
        'The images of train_dataloader.dataset were not checked: the dataset class selects them'
        in printed(capsys)
    )


def test_remote_images__do_not_prevent_the_check_of_annotations(data, cfg, capsys):
    cfg.train_dataloader.dataset.data_prefix.img = 'http://example.org/train/'
    check_datasets(cfg, ['train'])
    assert 'The images of train_dataloader.dataset were not checked' in printed(capsys)
    change(data, 'train', lambda content: content['annotations'][0].pop('area'))
    with pytest.raises(ValueError, match='annotations without area'):
        check_datasets(cfg, ['train'])


def test_missing_images__are_reported(data, cfg):
    for number in (3, 5):
        (data / f'train2017/00000{number}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='2 images of .* not found, the first is .*000003.jpg'):
        check_datasets(cfg, ['train'])


def test_filtered_image__may_be_missing(data, cfg):
    extra = dict(id=999, file_name='none.jpg', height=64, width=64)
    change(data, 'train', lambda content: content['images'].append(extra))
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=32)
    check_datasets(cfg, ['train'])


def test_missing_image_folder__is_reported(cfg):
    cfg.train_dataloader.dataset.data_prefix = None
    with pytest.raises(ValueError, match=r'data_prefix is .* Use data_prefix=dict\(img=FOLDER\)'):
        check_datasets(cfg, ['train'])


def test_missing_files__are_those_of_the_file_system(tmp_path):
    (tmp_path / 'a').mkdir()
    for name in ('a/1.jpg', '2.jpg'):
        Path(tmp_path, name).touch()
    names = ['a/1.jpg', '2.jpg', 'a/../2.jpg', 'a/2.jpg', '3.jpg', 'b/1.jpg']
    missing = [str(tmp_path / name) for name in names[3:]]
    assert missing_files(str(tmp_path), names) == missing
