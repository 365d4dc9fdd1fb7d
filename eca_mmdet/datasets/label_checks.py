"""Check that the classes of datasets, the categories of their files and the heads of the model agree.

mmdet numbers labels by the order of the categories in the annotation file, but names them by the order of the
classes in the config. If the two orders differ, labels silently get wrong names.
"""

import logging
from typing import Any, Collection, Dict, Iterator, List, Optional, Sequence, Tuple

from mmengine.logging import print_log
from torch import nn

from .fault_report import DataFault

Classes = Tuple[str, ...]
SAME_CATEGORY = 'categories with the same name'
SAME_CLASS = 'classes of the config with the same name'
MISSING_CLASS = 'classes of the config that are not in categories'
OTHER_ORDER = 'classes of the config in another order than categories'

_HEADS = {
    'bbox_head',
    'mask_head',
    'mask_iou_head',
    'point_head',
    'glbctx_head',
    'segm_head',
    'teacher_bbox_head',
}
"""Heads with an output, a loss or a target for each class of the dataset."""
_PANOPTIC = {'panoptic_head', 'panoptic_fusion_head'}
_CONTAINERS = {'model', 'detector', 'roi_head'}
_OTHER_COUNTS = {'rpn_head', 'semantic_head', 'backbone', 'neck', 'reid', 'train_cfg', 'test_cfg'}
"""Parts whose ``num_classes`` counts something other than the classes of the dataset."""


def check_categories(classes: Classes, categories: List[dict], path: Any, key: str) -> None:
    """Check that each class of a dataset gets its own label.

    In a training set, the last classes may have no category in the file.

    Args:
        classes: The classes of the dataset, in the order of the config.
        categories: The categories of its annotation file, in the order of the file.
        path: The annotation file, for messages.
        key: The name of the dataset in the config.

    Raises:
        DataFault: If a class would get the label of another class, or no label.
    """
    split = key.split('_')[0]
    names = [category['name'] for category in categories]
    used = [name for name in names if name in classes]
    if len(set(used)) < len(used):
        duplicate = next(name for name in used if used.count(name) > 1)
        ids = [category['id'] for category in categories if category['name'] == duplicate]
        raise DataFault(
            SAME_CATEGORY,
            f'{path} has {len(ids)} categories with the name {duplicate!r} (ids {ids}), and mmdet gives each '
            'of them its own label. Give them different names, or merge them into one category',
        )
    if len(set(classes)) < len(classes):
        raise DataFault(SAME_CLASS, f'{key}.metainfo.classes contains a class twice: {classes}')
    missing = [name for name in classes if name not in names]
    are_last = tuple(used) == classes[: len(used)] and used
    if missing and not (split == 'train' and are_last):
        raise DataFault(
            MISSING_CLASS,
            f'{path} lacks {len(missing)} of the {len(classes)} classes of the {split} set: {missing[:5]}. '
            f'Its categories are {names[:10]}{" ..." if len(names) > 10 else ""}. Use --data FOLDER, '
            'which sets classes and heads, or write a config with\n'
            f'    metainfo = dict(classes={tuple(names[:3])!r}){"  # and so on" if len(names) > 3 else ""}\n'
            f'in the datasets and num_classes={len(set(names))} in the heads. '
            'See configs/mask_rcnn_ecanet18_fpn_nuclei.py for an example',
        )
    if missing:
        _warn(f'{path} lacks {len(missing)} classes of {key}: {missing[:5]}. They cannot be trained.')
    elif tuple(used) != classes:
        raise DataFault(
            OTHER_ORDER,
            f'{path} lists the classes in another order than {key}.metainfo.classes. mmdet uses the order of '
            f'the file. Write a config with\n    metainfo = dict(classes={tuple(used)!r})\n'
            f'in all datasets, and use the same order in all files. num_classes stays {len(classes)}',
        )
    unused = [name for name in names if name not in classes]
    if unused:
        _warn(f'{path} has {len(unused)} categories that the config does not use: {unused[:5]}')


def check_same_labels(trained: Dict[str, Classes], evaluated: Dict[str, Classes]) -> None:
    """Check that each class has the same label in all training sets and evaluated datasets.

    Args:
        trained: The classes of the training sets, by their names in the config.
        evaluated: The classes of the datasets to compare with them.

    Raises:
        ValueError: If a class has different labels in two datasets.
    """
    for train_key, train_classes in trained.items():
        for key, classes in evaluated.items():
            for label, name in enumerate(classes):
                if name in train_classes and train_classes.index(name) != label:
                    raise ValueError(
                        f'{key} and {train_key} have different labels for the class {name!r}: {label} and '
                        f'{train_classes.index(name)}. Use the same metainfo.classes for both, and the same '
                        'order of categories in their annotation files. The classes are '
                        f'{classes[:5]} and {train_classes[:5]}'
                    )
            if train_classes != classes:
                _warn(f'{key} has other classes than {train_key}: {classes[:5]} and {train_classes[:5]}')


def check_heads(model: dict, classes: Classes, key: str, built: Optional[nn.Module] = None) -> None:
    """Check that the heads of a model have one output for each class of a dataset.

    Args:
        model: The model settings of the config.
        classes: The classes of the dataset.
        key: The name of the dataset in the config, for messages.
        built: The built model, which provides the number of classes where the config does not set it.

    Raises:
        ValueError: If a head that predicts the classes of the dataset has another number of classes.
    """
    if 'language_model' in model:
        _warn(f'The heads were not compared with the classes of {key}: the model classifies by text.')
        return
    unknown = []
    for path, field, count in _possible_class_counts(model, built):
        if count == len(classes):
            continue
        if not _is_per_class(path) or not _is_from_mmdet(_built_part(built, path)):
            unknown.append(f'{path}.{field}={count}')
            continue
        raise ValueError(
            f'{path}.{field} is {count}, but {key} has {len(classes)} classes {classes[:3]}. '
            f'Use --cfg-options {path}.{field}={len(classes)}'
        )
    if unknown:
        _warn(
            f'{key} has {len(classes)} classes. These parts differ and were not checked, because they may '
            f'count something else: {", ".join(unknown)}'
        )


def iter_parts(node: dict, path: str, skip: Collection[str] = ()) -> Iterator[Tuple[str, dict]]:
    """Yield a part of a config and all nested parts, with names such as ``model.roi_head.bbox_head.0``."""
    yield path, node
    for name, value in node.items():
        is_list = isinstance(value, (list, tuple))
        for index, inner in enumerate(value if is_list else [value]):
            if isinstance(inner, dict) and name not in skip:
                yield from iter_parts(inner, f'{path}.{name}.{index}' if is_list else f'{path}.{name}', skip)


def class_counts(model: dict, built: Optional[nn.Module]) -> Iterator[Tuple[str, str, int]]:
    """Yield path, field and value of the number of classes of each head for those of the dataset."""
    for path, field, count in _possible_class_counts(model, built):
        if _is_per_class(path):
            yield path, field, count


def _possible_class_counts(model: dict, built: Optional[nn.Module]) -> Iterator[Tuple[str, str, int]]:
    """Yield path, field and value of the settings of a model that may be a number of classes."""
    for path, node in iter_parts(model, 'model', _OTHER_COUNTS):
        field, count = 'num_classes', node.get('num_classes')
        if path.split('.')[-1] in _PANOPTIC:
            # With stuff classes, the labels of the dataset are not those of instances.
            field, count = 'num_things_classes', node.get('num_things_classes')
            count = count if node.get('num_stuff_classes') == 0 else None
        elif count is None and _is_per_class(path):
            count = getattr(_built_part(built, path), 'num_classes', None)
        if isinstance(count, int) and not node.get('class_agnostic'):
            yield path, field, count


def _is_per_class(path: str) -> bool:
    """Whether a part, such as ``model.roi_head.bbox_head.0``, predicts the classes of the dataset."""
    names: Sequence[str] = [name for name in path.split('.') if not name.isdigit()]
    if names[-1] == 'loss_cls':  # SeesawLoss has its own num_classes
        names = names[:-1]
    return names[-1] in (_HEADS | _PANOPTIC) and set(names[:-1]) <= _CONTAINERS


def _built_part(built: Optional[nn.Module], path: str) -> Optional[nn.Module]:
    try:
        return built.get_submodule(path.partition('.')[2]) if built else None
    except AttributeError:
        return None


def _is_from_mmdet(part: Optional[nn.Module]) -> bool:
    """Whether a part is an mmdet class or a subclass. Other classes may count the background as a class."""
    return part is None or any(kind.__module__.startswith('mmdet.') for kind in type(part).__mro__)


def _warn(text: str) -> None:
    print_log(text, level=logging.WARNING)
