"""Compares the classes of a config with those that a checkpoint was trained on."""

import logging
from typing import Any, Mapping, Optional, Tuple

from mmengine.config import Config
from mmengine.logging import print_log

from ..datasets.dataset_checks import dataset_class, find_datasets


def check_class_order(cfg: Config, split: str, meta: Any, path: object) -> None:
    """Refuse a data set that numbers the classes of a checkpoint in another order.

    A detector predicts numbers. With the same classes in another order every name would belong to
    another class, and nothing else would show it.

    Args:
        cfg: The config of a run.
        split: ``'train'`` or ``'test'``: whose data sets are compared.
        meta: What the checkpoint says about itself. One without classes is not checked.
        path: The checkpoint, for the message.

    Raises:
        ValueError: If the order differs.
    """
    described = meta.get('dataset_meta', meta) if isinstance(meta, Mapping) else None  # mmdet 2.x: CLASSES
    trained = _names(described) if isinstance(described, Mapping) else None
    if trained is None:
        return
    for key, node in find_datasets(cfg[f'{split}_dataloader'].dataset, f'{split}_dataloader.dataset'):
        kind = dataset_class(node, key)
        load = getattr(kind, '_load_metainfo', None)
        classes = _names(load(node.get('metainfo')) if load else {})
        if classes is None or classes == trained:
            continue
        if sorted(classes) == sorted(trained):
            raise ValueError(
                f'{path} was trained on the classes {_shown(trained)}, {key} has them in another order: '
                f'{_shown(classes)}, so that names would belong to other classes. Use annotation files with '
                f'the categories in the order of the checkpoint, and metainfo=dict(classes=...) likewise'
            )
        print_log(
            f'{path} was trained on the classes {_shown(trained)}, {key} has {_shown(classes)}: '
            'results are right only where both mean the same.',
            level=logging.WARNING,
        )


def _names(meta: Mapping[str, Any]) -> Optional[Tuple[str, ...]]:
    classes = {str(key).lower(): value for key, value in meta.items()}.get('classes')
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        return None
    return tuple(classes)


def _shown(names: Tuple[str, ...]) -> str:
    return f'{", ".join(names[:5])}{", ..." if len(names) > 5 else ""}'
