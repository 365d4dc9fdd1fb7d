"""Checks that the images of a data set are there."""

import re
from pathlib import Path

import pytest
from coco_samples import change, printed
from mmcv.transforms import BaseTransform, LoadImageFromFile
from mmdet.datasets import CocoDataset
from mmdet.registry import DATASETS, TRANSFORMS

from eca_mmdet.datasets import check_datasets
from eca_mmdet.datasets.image_checks import missing_files


@TRANSFORMS.register_module()
class LoadOwnImages(LoadImageFromFile):
    """A user's class that finds images in its own way."""

    def transform(self, results):
        return results


@TRANSFORMS.register_module()
class MoveImages(BaseTransform):
    """A user's class that gives the images other paths."""

    def transform(self, results):
        return results


@DATASETS.register_module()
class ChoosingDataset(CocoDataset):
    """A user's class with a filter of its own."""

    def filter_data(self):
        return self.data_list[:2]


@pytest.mark.parametrize(
    ('steps', 'reason'),
    [
        ([dict(type='LoadOwnImages')], 'does not begin with LoadImageFromFile'),
        ([dict(type='MoveImages'), dict(type='LoadImageFromFile')], 'does not begin with LoadImageFromFile'),
        ([dict(type='LoadImageFromFile', file_client_args=dict(backend='lmdb', db_path='a'))], 'local disk'),
        ([dict(type='LoadImageFromFile', backend_args=dict(backend='lmdb', db_path='a'))], 'local disk'),
    ],
)
def test_images_that_others_find__are_not_looked_for(data, cfg, capsys, steps, reason):
    (data / 'train2017/000003.jpg').unlink()
    cfg.train_dataloader.dataset.pipeline[:1] = steps
    check_datasets(cfg, ['train'])
    assert re.search(f'images of train_dataloader.dataset were not checked: .*{reason}', printed(capsys))


def test_images_that_the_data_set_chooses__are_not_looked_for(data, cfg, capsys):
    (data / 'train2017/000003.jpg').unlink()
    cfg.train_dataloader.dataset.type = 'ChoosingDataset'
    check_datasets(cfg, ['train'])
    assert 'The images of train_dataloader.dataset were not checked: it chooses them' in printed(capsys)


def test_images_elsewhere__leave_the_annotations_to_be_checked(data, cfg, capsys):
    cfg.train_dataloader.dataset.data_prefix.img = 'http://example.org/train/'
    check_datasets(cfg, ['train'])
    assert 'The images of train_dataloader.dataset were not checked' in printed(capsys)
    change(data, 'train', lambda content: content['annotations'][0].pop('area'))
    with pytest.raises(ValueError, match='annotations without area'):
        check_datasets(cfg, ['train'])


def test_every_image__must_be_there(data, cfg):
    for number in (3, 5):
        (data / f'train2017/00000{number}.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='000003.jpg, the first of 2 .* are missing'):
        check_datasets(cfg, ['train'])


def test_image_that_the_filter_leaves_out__may_be_missing(data, cfg):
    extra = dict(id=999, file_name='none.jpg', height=64, width=64)
    change(data, 'train', lambda content: content['images'].append(extra))
    cfg.train_dataloader.dataset.filter_cfg = dict(filter_empty_gt=True, min_size=32)
    check_datasets(cfg, ['train'])


def test_data_without_an_image_folder__is_refused(cfg):
    cfg.train_dataloader.dataset.data_prefix = None
    with pytest.raises(ValueError, match='data_prefix is .*needs an image folder'):
        check_datasets(cfg, ['train'])


def test_listing__is_that_of_the_file_system(tmp_path):
    (tmp_path / 'a').mkdir()
    for name in ('a/1.jpg', '2.jpg'):
        Path(tmp_path, name).touch()
    names = ['a/1.jpg', '2.jpg', 'a/../2.jpg', 'a/2.jpg', '3.jpg', 'b/1.jpg']
    missing = [str(tmp_path / name) for name in names[3:]]
    assert missing_files(str(tmp_path), names) == missing
