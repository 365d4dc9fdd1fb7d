"""Checks of the class names in a config."""

import pytest

from eca_mmdet.datasets.dataset_checks import check_datasets

NAMES = ('circle', 'square', 'triangle')


def set_classes(cfg, classes, splits=('train', 'val')):
    for split in splits:
        cfg[f'{split}_dataloader'].dataset.metainfo = dict(classes=classes)


def test_class_file__is_read(data, cfg):
    (data / 'classes.txt').write_text('\n'.join(NAMES))
    set_classes(cfg, str(data / 'classes.txt'))
    check_datasets(cfg, ['train', 'val'])
    (data / 'classes.txt').write_text('\n'.join(NAMES[::-1]))
    with pytest.raises(ValueError, match='another order'):
        check_datasets(cfg, ['train'])


@pytest.mark.parametrize('classes', ['nowhere.txt', 'circle', 5])
def test_classes_that_are_not_a_list__are_rejected(cfg, classes):
    set_classes(cfg, classes)
    with pytest.raises(ValueError, match='must be a list of names, or a text file'):
        check_datasets(cfg, ['train'])


def test_unreadable_class_file__is_reported(data, cfg):
    set_classes(cfg, str(data))
    with pytest.raises(ValueError, match='train_dataloader.dataset.metainfo cannot be read'):
        check_datasets(cfg, ['train'])
