"""Check the datasets of image classifiers before a run.

Folders of images (MMPretrain's ``CustomDataset`` and ``ImageNet``) and CIFAR are checked. For other datasets,
a message in the log states that they were not checked.
"""

import logging
import os
from itertools import islice
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import cv2
from mmengine.config import Config
from mmengine.logging import print_log
from mmpretrain.datasets import CIFAR10, CustomDataset

from ..datasets.config_datasets import Split, class_names, dataset_class, find_datasets, is_remote
from .cifar_checks import check_cifar

_SAMPLED_CLASSES = 32
_EXTENSIONS = ('.jpg', '.jpeg', '.png', '.ppm', '.bmp', '.pgm', '.tif')  # of MMPretrain's CustomDataset


class Listing(NamedTuple):
    """What a dataset consists of.

    Args:
        classes: Names of the classes, in the order of their labels. Empty if unknown.
        images: Some of its images, of different classes.
        folders: The class folders, in the order of their labels. Empty if there are none.
    """

    classes: Tuple[str, ...]
    images: List[Path]
    folders: Tuple[str, ...] = ()


def check_folders(cfg: Config, splits: Sequence[str]) -> None:
    """Check folders, classes and a sample of the images of all datasets.

    Args:
        cfg: The config of a run.
        splits: The splits to check: ``'train'``, ``'val'`` or ``'test'``.

    Raises:
        FileNotFoundError: If a folder or file is missing.
        ValueError: If the classes do not fit the model or differ between datasets, a class has no images, or
            an image cannot be read.
    """
    found: Dict[str, Tuple[str, ...]] = {}
    for name in splits:
        for split in _splits(cfg, name):
            listing = list_dataset(split)
            if listing is None:
                reason = f'{split.cls.__name__} does not read labels from local class folders'
                print_log(f'{split.key} was not checked: {reason}.', level=logging.WARNING)
                continue
            _check_number(cfg, split, listing.classes)
            _check_readable(split, listing.images)
            if listing.folders:
                found[split.key] = listing.folders
    _check_same(found)


def dataset_classes(cfg: Config, name: str) -> Iterator[Tuple[str, Tuple[str, ...]]]:
    """Yield the config key and the classes of every dataset of a split whose classes are known."""
    for split in _splits(cfg, name):
        listing = list_dataset(split)
        if listing and listing.classes:
            yield split.key, listing.classes


def _splits(cfg: Config, name: str) -> Iterator[Split]:
    for key, settings in find_datasets(cfg[f'{name}_dataloader']['dataset'], f'{name}_dataloader.dataset'):
        yield Split(key, settings, dataset_class(settings, key), name == 'train')


def list_dataset(split: Split) -> Optional[Listing]:
    """List classes and some images of a dataset; ``None`` if it cannot be checked.

    Raises:
        FileNotFoundError: If a folder or file is missing.
        ValueError: If there are no images, or the classes of the config do not fit the folders.
    """
    if issubclass(split.cls, CIFAR10):
        check_cifar(split)
        return Listing(declared_classes(split), [])
    is_read_as_folders = getattr(split.cls, 'load_data_list', None) is CustomDataset.load_data_list
    folder = _image_folder(split)
    has_labels = split.settings.get('with_label', True) and split.settings.get('split') != 'test'
    if not is_read_as_folders or is_remote(folder) or not has_labels:
        return None
    if not Path(folder).is_dir():
        root = split.settings.get('data_root') or folder
        raise FileNotFoundError(
            f'image folder {folder} of {split.key} not found. It must contain a folder per class: '
            f'{os.path.join(folder, "CLASS", "IMAGE.jpg")}. Create a link with\n'
            f'    ln -s /path/to/data {root}\nor name another folder with\n'
            '    --cfg-options data_root=/path/to/data'
        )
    annotations = _annotation_file(split)
    return _read_annotations(split, annotations, folder) if annotations else _read_folders(split, folder)


def declared_classes(split: Split) -> Tuple[str, ...]:
    """Return the classes that the config or the class of the dataset declares. Empty if there are none."""
    metainfo = dict(split.settings.get('metainfo') or {})
    classes = split.settings.get('classes')  # the short form: a list, or a file with a line per class
    if classes is not None:
        metainfo.setdefault('classes', classes)
    if 'classes' not in metainfo and 'classes' not in split.cls.METAINFO:
        return ()
    return class_names(split._replace(settings={**split.settings, 'metainfo': metainfo}))


def _image_folder(split: Split) -> str:
    prefix = split.settings.get('data_prefix') or split.settings.get('split') or ''
    prefix = prefix.get('img_path', '') if isinstance(prefix, dict) else prefix
    return os.path.expanduser(split.resolve_path(prefix) or split.settings.get('data_root') or '')


def _annotation_file(split: Split) -> str:
    """Return the annotation file that MMPretrain reads; empty if the folders are the classes."""
    name = split.settings.get('ann_file', '')
    if not name and split.settings.get('split'):
        name = os.path.join('meta', f'{split.settings["split"]}.txt')
        return path if Path(path := split.resolve_path(name)).is_file() else ''
    return os.path.expanduser(split.resolve_path(name)) if name else ''


def _read_folders(split: Split, folder: str) -> Listing:
    # MMPretrain numbers all folders, in the order of their names, hidden ones included.
    classes = sorted(entry.name for entry in os.scandir(folder) if entry.is_dir())
    if not classes:
        raise ValueError(
            f'{folder} of {split.key} has no class folders. Put the images into a folder per class: '
            f'{os.path.join(folder, "CLASS", "IMAGE.jpg")}'
        )
    declared = declared_classes(split)
    if declared and len(declared) != len(classes):
        raise ValueError(
            f'{folder} has {len(classes)} class folders ({_join(classes)}), {split.key} declares '
            f'{len(declared)} classes ({_join(declared)}). Add or remove folders, or use the dataset type '
            "'CustomDataset', which takes its classes from the folders"
        )
    if sorted(declared) == classes and list(declared) != classes:
        raise ValueError(
            f'{split.key} declares the classes {_join(declared)}, but labels are numbered in the order of '
            f'the folder names: {_join(classes)}. Use this order, or leave the classes out'
        )
    extensions = tuple(split.settings.get('extensions') or _EXTENSIONS)
    first = {name: next(_iter_images(os.path.join(folder, name), extensions), None) for name in classes}
    empty = [name for name in classes if first[name] is None]
    if empty:
        message = (
            f'{len(empty)} class folders of {split.key} have no images: {_join(empty)} in {folder}. Each '
            f'still gets a label. Remove them, or add images ({" ".join(extensions)})'
        )
        if split.is_trained or len(empty) == len(classes):
            raise ValueError(message)
        print_log(message, level=logging.WARNING)
    step = -(-len(classes) // _SAMPLED_CLASSES)
    images = [path for name in classes[::step] if (path := first[name])]
    return Listing(declared or tuple(classes), images, tuple(classes))


def _iter_images(folder: str, extensions: Tuple[str, ...]) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names if name.lower().endswith(extensions))


def _read_annotations(split: Split, path: str, folder: str) -> Listing:
    try:
        lines = [line for line in Path(path).read_text().splitlines() if line.strip()]
    except FileNotFoundError:
        raise FileNotFoundError(
            f'annotation file {path} of {split.key} not found. Its lines are "IMAGE LABEL"; without '
            f'ann_file, the folders in {folder} are the classes'
        ) from None
    pairs = [line.strip().rsplit(' ', 1) for line in lines]
    wrong = next(
        (line for line, pair in zip(lines, pairs) if len(pair) != 2 or not pair[1].isdecimal()), None
    )
    if wrong is not None or not lines:
        raise ValueError(f'{path} must have lines "IMAGE LABEL" with a label from 0, but has {wrong!r}')
    classes = declared_classes(split)
    largest = max(int(label) for _, label in pairs)
    if classes and largest >= len(classes):
        raise ValueError(
            f'{path} has label {largest}, {split.key} has {len(classes)} classes: labels are 0 to '
            f'{len(classes) - 1}'
        )
    step = -(-len(pairs) // _SAMPLED_CLASSES)
    images = [Path(folder, name) for name, _ in pairs[::step]]
    missing = [image for image in images if not image.is_file()]
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(images)} sampled images of {path} not found, the first is {missing[0]}. '
            f'Name their folder with --cfg-options {split.key}.data_prefix=FOLDER'
        )
    return Listing(classes or tuple(map(str, range(largest + 1))), images)


def _check_number(cfg: Config, split: Split, classes: Sequence[str]) -> None:
    head = cfg.model.get('head') or {}
    number = head.get('num_classes') if isinstance(head, dict) else None
    if classes and number is not None and number != len(classes):
        raise ValueError(
            f'{split.key} has {len(classes)} classes ({_join(classes)}), but model.head.num_classes is '
            f'{number}. Use\n    --cfg-options model.head.num_classes={len(classes)}'
        )


def _check_readable(split: Split, images: List[Path]) -> None:
    unreadable = [path for path in images if cv2.imread(str(path)) is None]
    if unreadable:
        raise ValueError(
            f'{len(unreadable)} of {len(images)} sampled images of {split.key} cannot be read, the first is '
            f'{unreadable[0]}. Remove or replace the files'
        )


def _check_same(found: Dict[str, Tuple[str, ...]]) -> None:
    """Check that all datasets have the same folders: the label of a class is its position among them."""
    for key, classes in islice(found.items(), 1, None):
        other_key, others = next(iter(found.items()))
        if classes != others:
            raise ValueError(
                f'{key} and {other_key} have different class folders, so that a label means two things. Only '
                f'in {key}: {_join(sorted({*classes} - {*others}))}. Only in {other_key}: '
                f'{_join(sorted({*others} - {*classes}))}. Give both the same class folders'
            )


def _join(names: Sequence[Any]) -> str:
    return f'{", ".join(map(str, names[:5]))}{", ..." if len(names) > 5 else ""}' or 'none'
