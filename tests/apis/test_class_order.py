"""Check that a config has the classes of its checkpoint in the same order."""

import pytest

from eca_mmdet.apis.class_order import check_class_order

TRAINED = ('circle', 'square', 'triangle')


def meta(classes):
    return dict(dataset_meta=dict(classes=classes))


def set_classes(cfg, classes):
    cfg.test_dataloader.dataset.metainfo = dict(classes=classes)
    return cfg


@pytest.mark.parametrize(
    'saved',
    [None, {}, dict(dataset_meta=None), dict(dataset_meta='x'), meta('all'), meta(None), 'text', meta([1])],
)
def test_checkpoint_without_names__is_not_checked(cfg, saved):
    check_class_order(set_classes(cfg, TRAINED[::-1]), 'test', saved, 'x.pth')


@pytest.mark.parametrize(
    'saved',
    [meta(TRAINED), meta(list(TRAINED)), dict(dataset_meta=dict(CLASSES=TRAINED)), dict(CLASSES=TRAINED)],
)
def test_same_order__passes_and_another_order_is_rejected(cfg, saved, capsys):
    check_class_order(set_classes(cfg, TRAINED), 'test', saved, 'x.pth')
    assert 'x.pth' not in capsys.readouterr().out
    with pytest.raises(
        ValueError, match=r'x\.pth was trained on the classes circle, square.* another order: square'
    ):
        check_class_order(set_classes(cfg, ('square', 'circle', 'triangle')), 'test', saved, 'x.pth')


def test_other_names__are_warned_about(cfg, capsys):
    """The names may be translated, or the detector may be evaluated on other data."""
    check_class_order(set_classes(cfg, ('disc', 'square', 'triangle')), 'test', meta(TRAINED), 'x.pth')
    assert 'x.pth was trained on the classes circle, square, triangle' in capsys.readouterr().out


def test_wrapped_datasets__are_all_compared(cfg):
    good, bad = dict(cfg.test_dataloader.dataset), dict(cfg.test_dataloader.dataset)
    bad['metainfo'] = dict(classes=TRAINED[::-1])
    cfg.train_dataloader.dataset = dict(type='ConcatDataset', datasets=[good, bad])
    with pytest.raises(ValueError, match=r'train_dataloader\.dataset\.datasets\.1 has them in another order'):
        check_class_order(cfg, 'train', meta(TRAINED), 'x.pth')
