"""Check that a dataset numbers its classes in the same order as a checkpoint."""

import logging
from typing import Any, Iterable, Iterator, Mapping, Optional, Tuple

from mmengine.config import Config
from mmengine.logging import print_log

from ..datasets.config_datasets import dataset_class, find_datasets

Classes = Optional[Tuple[str, ...]]


def check_class_order(
    cfg: Config, split: str, meta: Any, path: object, datasets: Optional[Iterable[Tuple[str, Classes]]] = None
) -> None:
    """Refuse a dataset that has the classes of a checkpoint in another order.

    A model predicts class indices. If the order differs, its predictions get wrong class names
    without any error.

    Args:
        cfg: The config of a run.
        split: ``'train'`` or ``'test'``: the split of the datasets to compare.
        meta: The metadata of the checkpoint. Without classes in it, nothing is checked.
        path: The checkpoint, for the message.
        datasets: Config key and classes of each dataset of the split; by default, the classes that the
            config or the class of the dataset declares.

    Raises:
        ValueError: If the order differs.
    """
    described = meta.get('dataset_meta', meta) if isinstance(meta, Mapping) else None  # mmdet 2.x: CLASSES
    trained = _names(described) if isinstance(described, Mapping) else None
    if trained is None:
        return
    for key, classes in _declared_classes(cfg, split) if datasets is None else datasets:
        if classes is None or classes == trained:
            continue
        if sorted(classes) == sorted(trained):
            raise ValueError(
                f'{path} was trained on the classes {_join(trained)}, {key} has them in another order: '
                f'{_join(classes)}. Predictions would get wrong class names. Use the order of the checkpoint '
                'for the categories in the annotation files and for metainfo=dict(classes=...)'
            )
        print_log(
            f'{path} was trained on the classes {_join(trained)}, {key} has {_join(classes)}. '
            'Results are only correct for classes that mean the same in both.',
            level=logging.WARNING,
        )


def _declared_classes(cfg: Config, split: str) -> Iterator[Tuple[str, Classes]]:
    for key, node in find_datasets(cfg[f'{split}_dataloader'].dataset, f'{split}_dataloader.dataset'):
        load = getattr(dataset_class(node, key), '_load_metainfo', None)
        yield key, _names(load(node.get('metainfo')) if load else {})


def _names(meta: Mapping[str, Any]) -> Optional[Tuple[str, ...]]:
    classes = {str(key).lower(): value for key, value in meta.items()}.get('classes')
    if not isinstance(classes, (list, tuple)) or not all(isinstance(name, str) for name in classes):
        return None
    return tuple(classes)


def _join(names: Tuple[str, ...]) -> str:
    return f'{", ".join(names[:5])}{", ..." if len(names) > 5 else ""}'
