"""Checks of heads, including those of mmdet's own configs, and of class labels."""

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
from eca_mmdet.datasets.coco_readers import is_panoptic, unsupported_reason
from eca_mmdet.datasets.config_datasets import (
    Split,
    class_names,
    dataset_class,
    find_datasets,
)
from eca_mmdet.datasets.label_checks import check_categories, check_heads, check_same_labels

CONFIGS = Path(os.path.dirname(mmdet.__file__), '.mim', 'configs')


@cache
def first_configs():
    """Read the first config of each folder of mmdet's configs, by folder name."""
    first = {}
    for path in sorted(CONFIGS.glob('*/*.py')):
        if not path.parent.name.startswith(('_', 'common')):
            first.setdefault(path.parent.name, path)
    configs = {}
    for name, path in first.items():
        try:
            configs[name] = Config.fromfile(path)
        except ImportError:  # the config needs a package that is not installed
            continue
    return configs


def coco_splits(cfg):
    """Yield the names and classes of the COCO datasets of a config."""
    for part in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        dataset = (cfg.get(part) or {}).get('dataset')
        for key, node in find_datasets(dataset, f'{part}.dataset') if dataset else ():
            split = Split(key, node, dataset_class(node, key), False)
            if not unsupported_reason(split) and not is_panoptic(split.cls):
                yield key, class_names(split)


def test_heads__of_mmdet_configs_are_accepted():
    checked = defaultdict(int)
    for name, cfg in first_configs().items():
        for key, classes in coco_splits(cfg):
            check_heads(cfg.model, classes, f'{name}: {key}')
            checked[name] += 1
    assert len(checked) > 80
    assert {'htc', 'scnet', 'rpn', 'ms_rcnn', 'point_rend', 'detr', 'soft_teacher', 'yolact'} <= set(checked)


NOT_COMPARED = {'rpn', 'misc', 'glip', 'grounding_dino', 'mm_grounding_dino'}
"""Detectors with a single class, with the heads of detectron2, or with words instead of classes."""


def test_heads__of_mmdet_configs_are_compared():
    compared = set()
    for name, cfg in first_configs().items():
        for key, classes in coco_splits(cfg):
            try:
                check_heads(cfg.model, (*classes, 'another class'), key)
            except ValueError:
                compared.add(name)
    with_coco = {name for name, cfg in first_configs().items() if list(coco_splits(cfg))}
    assert with_coco - compared == NOT_COMPARED


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
    custom_part=dict(num_classes=7),
    test_cfg=dict(num_classes=5),
)
NAMES = ('circle', 'square', 'triangle')


def test_unknown_part__is_named_but_not_checked(capsys):
    check_heads(MODEL, NAMES, 'train_dataloader.dataset')
    text = ''.join(capsys.readouterr())
    assert 'because they may count something else: model.custom_part.num_classes=7\n' in text


@pytest.mark.parametrize(
    ('part', 'name'),
    [
        (('bbox_head', 1), 'bbox_head.1'),
        (('mask_head', 0), 'mask_head.0'),
        (('mask_iou_head',), 'mask_iou_head'),
        (('bbox_head', 2, 'loss_cls'), 'bbox_head.2.loss_cls'),
    ],
)
def test_head__needs_the_number_of_classes_of_the_dataset(part, name):
    model = deepcopy(MODEL)
    node = model['roi_head']
    for step in part:
        node = node[step]
    node['num_classes'] = 80
    with pytest.raises(ValueError, match=rf'roi_head.{name}.num_classes is 80.*num_classes=3'):
        check_heads(model, NAMES, 'train_dataloader.dataset')


class CustomHead(nn.Module):
    """Custom head that counts the background as a class."""


def test_custom_head__is_named_but_not_checked(capsys):
    built = nn.ModuleDict(dict(bbox_head=CustomHead()))
    check_heads(dict(bbox_head=dict(type='CustomHead', num_classes=len(NAMES) + 1)), NAMES, 'train', built)
    printed = ''.join(capsys.readouterr())
    assert 'were not checked' in printed
    assert f'model.bbox_head.num_classes={len(NAMES) + 1}' in printed


def test_default_number_of_classes__is_compared():
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
        ('aab', 'ab', 'contains a class twice'),
        ('abc', 'ac', r"lacks 1 of the 3 classes of the train set: \['b'\].*num_classes=2"),
        ('abc', 'xyz', r'lacks 3 of the 3 classes.*num_classes=3'),
    ],
)
def test_categories_that_would_get_wrong_labels__are_rejected(classes, names, message):
    with pytest.raises(ValueError, match=f'(?s){message}'):
        check(classes, names)


@pytest.mark.parametrize(
    ('classes', 'names'), [('ab', 'ab'), ('ab', 'axb'), ('ab', 'aabx'[1:]), ('a', 'xxa')]
)
def test_categories_that_get_their_labels__pass(classes, names):
    check(classes, names)


def test_last_classes__may_be_missing_in_a_training_set_only(capsys):
    check('abc', 'ab')
    assert 'They cannot be trained' in ''.join(capsys.readouterr())
    with pytest.raises(ValueError, match='lacks 1 of the 3 classes of the val set'):
        check('abc', 'ab', 'val_dataloader.dataset')


def test_other_labels_in_evaluation__are_rejected():
    with pytest.raises(ValueError, match="val and train have different labels for the class 'b': 0 and 1"):
        check_same_labels(dict(train=('a', 'b')), dict(val=('b', 'a')))


def test_other_classes_in_evaluation__are_warned_about(capsys):
    check_same_labels(dict(train=('a', 'b')), dict(val=('a', 'c')))
    assert 'val has other classes than train' in ''.join(capsys.readouterr())


def name_lists(unique):
    return st.lists(st.sampled_from('abcd'), min_size=1, max_size=5, unique=unique)


@given(classes=name_lists(unique=True), found=name_lists(unique=False))
def test_categories__pass_exactly_if_mmdet_gives_the_configured_labels(classes, found):
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
