"""Checks of labels: the classes of data sets, the categories of their files and the heads of the model.

mmdet numbers labels by the order of the categories in a file, restricted to the config's classes. It
names them by the order of the classes. Where the two differ, names are mixed without a word.
"""

import logging
from typing import Any, Collection, Dict, Iterator, List, Optional, Sequence, Tuple

from mmengine.logging import print_log
from torch import nn

Classes = Tuple[str, ...]

_HEADS = {
    'bbox_head',
    'mask_head',
    'mask_iou_head',
    'point_head',
    'glbctx_head',
    'segm_head',
    'teacher_bbox_head',
}
"""Heads with an output, a loss or a target for each class of the data set."""
_PANOPTIC = {'panoptic_head', 'panoptic_fusion_head'}
_CONTAINERS = {'model', 'detector', 'roi_head'}
_OTHER_COUNTS = {'rpn_head', 'semantic_head', 'backbone', 'neck', 'reid', 'train_cfg', 'test_cfg'}
"""Objects or not (mmdet sets that to 1), stuff, ImageNet, persons, settings: no classes of the data set."""


def check_categories(classes: Classes, categories: List[dict], path: Any, key: str) -> None:
    """Check that the names of a data set's classes are those that mmdet's numbering gives.

    Args:
        classes: The classes of the data set, in the config's order.
        categories: Those of its file, in the file's order.
        path: The file, for messages.
        key: The data set's name in the config. The last classes of a training set may have no category.

    Raises:
        ValueError: If a class would have another's label, or none.
    """
    split = key.split('_')[0]
    names = [category['name'] for category in categories]
    used = [name for name in names if name in classes]
    if len(set(used)) < len(used):
        twice = next(name for name in used if used.count(name) > 1)
        ids = [category['id'] for category in categories if category['name'] == twice]
        raise ValueError(
            f'{path} has {len(ids)} categories with the name {twice!r} (ids {ids}), and mmdet gives '
            'each a label of its own: give them different names, or one category to their annotations'
        )
    if len(set(classes)) < len(classes):
        raise ValueError(f'{key}.metainfo.classes names a class twice: {classes}')
    absent = [name for name in classes if name not in names]
    are_last = tuple(used) == classes[: len(used)] and used
    if absent and not (split == 'train' and are_last):
        raise ValueError(
            f'{path} lacks {len(absent)} of the {len(classes)} classes of the {split} set: {absent[:5]}. '
            f'Its categories are {names[:10]}{" ..." if len(names) > 10 else ""}. Write a config with\n'
            f'    metainfo = dict(classes={tuple(names[:3]) if len(names) > 3 else tuple(names)!r})'
            f'{"  # and so on" if len(names) > 3 else ""}\n'
            f'in its data sets and num_classes={len(set(names))} in its heads; '
            'configs/mask_rcnn_ecanet18_fpn_nuclei.py is an example'
        )
    if absent:
        _warn(f'{path} lacks {len(absent)} classes of {key}: {absent[:5]}. Nothing is learned about them.')
    elif tuple(used) != classes:
        raise ValueError(
            f'{path} lists the classes in another order than {key}.metainfo, and mmdet numbers them '
            f'by that order; write a config with\n    metainfo = dict(classes={tuple(used)!r})\n'
            f'in all its data sets, whose files must have the same order; num_classes stays {len(classes)}'
        )
    extra = [name for name in names if name not in classes]
    if extra:
        _warn(f'{path} has {len(extra)} categories that the config does not use: {extra[:5]}')


def check_same_labels(trained: Dict[str, Classes], evaluated: Dict[str, Classes]) -> None:
    """Check that a class has the same label in all training sets and in what is evaluated.

    Args:
        trained: The classes of the training sets, by their names in the config.
        evaluated: Those of the data sets to compare with them.

    Raises:
        ValueError: If a class has one label in a training set and another in a data set compared with it.
    """
    for first, own in trained.items():
        for second, others in evaluated.items():
            moved = [name for label, name in enumerate(others) if name in own and own.index(name) != label]
            if moved:
                raise ValueError(
                    f'{second} numbers its classes in another way than {first}: {moved[0]!r} is label '
                    f'{others.index(moved[0])} there and {own.index(moved[0])} here, so results would '
                    f'go to wrong classes. Give both the same metainfo.classes, and their files the same '
                    f'order of categories; they have {others[:5]} and {own[:5]}'
                )
            if own != others:
                _warn(f'{second} has other classes than {first}: {others[:5]} and {own[:5]}')


def check_heads(model: dict, classes: Classes, key: str, built: Optional[nn.Module] = None) -> None:
    """Check that the heads of a model have an output for each class of a data set.

    Args:
        model: The config's model.
        classes: The classes of the data set.
        key: The data set's name in the config, for messages.
        built: The model, whose heads tell the number that the config leaves to their default.

    Raises:
        ValueError: If a head is known to need the number of classes, and has another.
    """
    if 'language_model' in model:
        _warn(f'The heads were not compared with the classes of {key}: they score words of a text.')
        return
    unknown = []
    for path, field, count in _counts(model, built):
        if count == len(classes):
            continue
        if not _is_per_class(path) or not _is_mmdets(_built_part(built, path)):
            unknown.append(f'{path}.{field}={count}')
            continue
        raise ValueError(
            f'{path}.{field} is {count}, {key} has {len(classes)} classes {classes[:3]}: '
            f'set --cfg-options {path}.{field}={len(classes)}'
        )
    if unknown:
        _warn(
            f'Not checked, as these parts may count something else: {", ".join(unknown)}; '
            f'{key} has {len(classes)} classes.'
        )


def parts(node: dict, path: str, left_out: Collection[str] = ()) -> Iterator[Tuple[str, dict]]:
    """A part of a config and all parts below it, with their names such as ``model.roi_head.bbox_head.0``."""
    yield path, node
    for name, value in node.items():
        is_list = isinstance(value, (list, tuple))
        for index, inner in enumerate(value if is_list else [value]):
            if isinstance(inner, dict) and name not in left_out:
                yield from parts(inner, f'{path}.{name}.{index}' if is_list else f'{path}.{name}', left_out)


def _counts(model: dict, built: Optional[nn.Module]) -> Iterator[Tuple[str, str, int]]:
    """The parts of a model that may count the classes: path, field and count."""
    for path, node in parts(model, 'model', _OTHER_COUNTS):
        field, count = 'num_classes', node.get('num_classes')
        if path.split('.')[-1] in _PANOPTIC:
            # With stuff besides the things, the data set is no data set of instances.
            field, count = 'num_things_classes', node.get('num_things_classes')
            count = count if node.get('num_stuff_classes') == 0 else None
        elif count is None and _is_per_class(path):
            count = getattr(_built_part(built, path), 'num_classes', None)
        if isinstance(count, int) and not node.get('class_agnostic'):
            yield path, field, count


def _is_per_class(path: str) -> bool:
    """Whether a part of a model has an output for each class: ``model.roi_head.bbox_head.0``."""
    names: Sequence[str] = [name for name in path.split('.') if not name.isdigit()]
    if names[-1] == 'loss_cls':  # mmdet's SeesawLoss counts samples of each class
        names = names[:-1]
    return names[-1] in (_HEADS | _PANOPTIC) and set(names[:-1]) <= _CONTAINERS


def _built_part(built: Optional[nn.Module], path: str) -> Optional[nn.Module]:
    try:
        return built.get_submodule(path.partition('.')[2]) if built else None
    except AttributeError:
        return None


def _is_mmdets(part: Optional[nn.Module]) -> bool:
    """Whether a part is of a class of mmdet's or derived from one; another may count the background too."""
    return part is None or any(kind.__module__.startswith('mmdet.') for kind in type(part).__mro__)


def _warn(text: str) -> None:
    print_log(text, level=logging.WARNING)
