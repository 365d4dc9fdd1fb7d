"""Heads of mmdet's own configs, and the labels of data sets."""

import os
from collections import defaultdict
from copy import deepcopy
from functools import cache
from pathlib import Path

import mmdet
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmdet.datasets.api_wrappers import COCO
from mmengine.config import Config
from torch import nn

from eca_mmdet.apis import load_config
from eca_mmdet.apis.model_checks import build_model
from eca_mmdet.datasets.dataset_checks import (
    Split,
    class_names,
    dataset_class,
    find_datasets,
    why_not_checked,
)
from eca_mmdet.datasets.label_checks import check_categories, check_heads, check_same_labels

CONFIGS = Path(os.path.dirname(mmdet.__file__), '.mim', 'configs')


@cache
def families():
    """The first config of each of mmdet's families that reads here, by the name of its folder."""
    first = {}
    for path in sorted(CONFIGS.glob('*/*.py')):
        if not path.parent.name.startswith(('_', 'common')):
            first.setdefault(path.parent.name, path)
    configs = {}
    for name, path in first.items():
        try:
            configs[name] = Config.fromfile(path)
        except ImportError:  # needs a package that is not installed
            continue
    return configs


def coco_splits(cfg):
    """The classes of the data sets of a config that are understood."""
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = (cfg.get(part) or {}).get('dataset')
        for key, node in find_datasets(dataset, f'{part}.dataset') if dataset else ():
            split = Split(key, node, dataset_class(node, key), False)
            if not why_not_checked(split):
                yield key, class_names(split)


def test_heads__of_mmdets_own_configs_are_not_refused():
    checked = defaultdict(int)
    for name, cfg in families().items():
        for key, classes in coco_splits(cfg):
            check_heads(cfg.model, classes, f'{name}: {key}')
            checked[name] += 1
    assert len(checked) > 80
    assert {'htc', 'scnet', 'rpn', 'ms_rcnn', 'point_rend', 'detr', 'soft_teacher', 'yolact'} <= set(checked)


UNCOMPARED = {'rpn', 'misc', 'glip', 'grounding_dino', 'mm_grounding_dino'}
"""Objects or not; detectron2's names for heads; words instead of classes."""


def test_heads__of_mmdets_own_configs_are_compared():
    compared = set()
    for name, cfg in families().items():
        for key, classes in coco_splits(cfg):
            try:
                check_heads(cfg.model, (*classes, 'one more'), key)
            except ValueError:
                compared.add(name)
    seen = {name for name, cfg in families().items() if list(coco_splits(cfg))}
    assert seen - compared == UNCOMPARED


MODEL = dict(
    type='HybridTaskCascade',
    rpn_head=dict(type='FCOSHead', num_classes=1),
    backbone=dict(num_classes=1000),
    roi_head=dict(
        bbox_head=[dict(num_classes=3, loss_cls=dict(num_classes=3)) for _ in range(3)],
        mask_head=[dict(num_classes=3), dict(num_classes=80, class_agnostic=True)],
        semantic_head=dict(num_classes=183),
        mask_iou_head=dict(num_classes=3),
    ),
    own_part=dict(num_classes=7),
    test_cfg=dict(num_classes=5),
)
NAMES = ('circle', 'square', 'triangle')


def test_parts_that_count_something_else__are_left_and_unknown_ones_named(capsys):
    check_heads(MODEL, NAMES, 'train_dataloader.dataset')
    text = ''.join(capsys.readouterr())
    assert 'Not checked, as these parts may count something else: model.own_part.num_classes=7;' in text


@pytest.mark.parametrize(
    ('part', 'name'),
    [
        (('bbox_head', 1), 'bbox_head.1'),
        (('mask_head', 0), 'mask_head.0'),
        (('mask_iou_head',), 'mask_iou_head'),
        (('bbox_head', 2, 'loss_cls'), 'bbox_head.2.loss_cls'),
    ],
)
def test_head_of_each_class__must_have_all_classes(part, name):
    model = deepcopy(MODEL)
    node = model['roi_head']
    for step in part:
        node = node[step]
    node['num_classes'] = 80
    with pytest.raises(ValueError, match=rf'roi_head.{name}.num_classes is 80.*num_classes=3'):
        check_heads(model, NAMES, 'train_dataloader.dataset')


class OwnHead(nn.Module):
    """A user's head, which counts the background as a class."""


def test_head_that_is_not_of_mmdet__is_left_and_named(capsys):
    built = nn.ModuleDict(dict(bbox_head=OwnHead()))
    check_heads(dict(bbox_head=dict(type='OwnHead', num_classes=len(NAMES) + 1)), NAMES, 'train', built)
    printed = ''.join(capsys.readouterr())
    assert 'Not checked' in printed
    assert f'model.bbox_head.num_classes={len(NAMES) + 1}' in printed


def test_default_of_a_head__is_compared():
    cfg = load_config('eca_mmdet::retinanet_ecanet50_fpn_1x.py')
    built = build_model(cfg)
    del cfg.model.bbox_head['num_classes']
    with pytest.raises(ValueError, match='model.bbox_head.num_classes is 80'):
        check_heads(cfg.model, NAMES, 'train_dataloader.dataset', built)


def categories(*names):
    return [dict(id=10 - index, name=name) for index, name in enumerate(names)]


def check(classes, names, key='train_dataloader.dataset'):
    check_categories(tuple(classes), categories(*names), 'a.json', key)


@pytest.mark.parametrize(
    ('classes', 'names', 'message'),
    [
        ('ab', 'ba', r"another order than .*classes=\('b', 'a'\).*num_classes stays 2"),
        ('ab', 'aab', r"2 categories with the name 'a' \(ids \[10, 9\]\)"),
        ('aab', 'ab', 'names a class twice'),
        ('abc', 'ac', r"lacks 1 of the 3 classes of the train set: \['b'\].*num_classes=2"),
        ('abc', 'xyz', r'lacks 3 of the 3 classes.*num_classes=3'),
    ],
)
def test_names_that_mmdet_would_mix__are_refused(classes, names, message):
    with pytest.raises(ValueError, match=f'(?s){message}'):
        check(classes, names)


@pytest.mark.parametrize(
    ('classes', 'names'), [('ab', 'ab'), ('ab', 'axb'), ('ab', 'aabx'[1:]), ('a', 'xxa')]
)
def test_names_that_mmdet_keeps_apart__pass(classes, names):
    check(classes, names)


def test_last_classes__may_be_absent_from_a_training_set_only(capsys):
    check('abc', 'ab')
    assert 'Nothing is learned about them' in ''.join(capsys.readouterr())
    with pytest.raises(ValueError, match='lacks 1 of the 3 classes of the val set'):
        check('abc', 'ab', 'val_dataloader.dataset')


def test_classes_with_other_labels_in_evaluation__are_refused():
    with pytest.raises(
        ValueError, match="numbers its classes in another way.*'b' is label 0 there and 1 here"
    ):
        check_same_labels(dict(train=('a', 'b')), dict(val=('b', 'a')))


def test_classes_of_other_names_in_evaluation__are_said(capsys):
    check_same_labels(dict(train=('a', 'b')), dict(val=('a', 'c')))
    assert 'val has other classes than train' in ''.join(capsys.readouterr())


def names(unique):
    return st.lists(st.sampled_from('abcd'), min_size=1, max_size=5, unique=unique)


@given(classes=names(unique=True), found=names(unique=False))
def test_labels__have_the_names_of_the_config_whenever_the_check_passes(classes, found):
    try:
        check(classes, found, 'val_dataloader.dataset')
    except ValueError:
        passed = False
    else:
        passed = True
    coco = COCO()
    coco.dataset = dict(categories=categories(*found))
    coco.createIndex()
    labels = [coco.cats[i]['name'] for i in coco.get_cat_ids(cat_names=classes)]
    assert passed == (labels == classes)
