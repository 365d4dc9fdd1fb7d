"""Find the images, label files and classes of a YOLO folder."""

import logging
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Optional, Sequence

import yaml
from mmengine.logging import print_log

from .image_size import IMAGE_SUFFIXES
from .split_files import split_of


class YoloImage(NamedTuple):
    """An image and its label file, which need not exist: an image without one has no objects."""

    image: Path
    labels: Path


def find_yolo_splits(src: Path) -> Dict[str, List[YoloImage]]:
    """Find the images of each split.

    Folders with ``train``, ``val`` or ``test`` in their names are splits; without such folders, all images
    are for training. Label files are in a folder ``labels`` that mirrors ``images``, or next to the images.
    The paths in ``data.yaml`` are not used: they are those of the machine that exported the dataset.

    Raises:
        FileNotFoundError: If there are no images with label files.
    """
    if not src.is_dir():
        raise FileNotFoundError(f'{src} is not a folder. Name the folder with data.yaml')
    found: Dict[str, List[YoloImage]] = {}
    for folder in _folders(src):
        parts = folder.relative_to(src).parts
        split = next(filter(None, map(split_of, parts)), 'train')
        images = sorted(path for path in folder.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        if images:
            labels = src.joinpath(*_labels_parts(parts))
            found.setdefault(split, []).extend(
                YoloImage(path, labels / f'{path.stem}.txt') for path in images
            )
    splits = {}
    for split, samples in found.items():
        if any(sample.labels.is_file() for sample in samples):
            splits[split] = samples
        else:
            print_log(
                f'{len(samples)} images such as {samples[0].image} are not used: there is no label file '
                f'such as {samples[0].labels}.',
                level=logging.WARNING,
            )
    if 'train' not in splits:
        raise FileNotFoundError(
            f'{src} has no images with label files for training. Allowed are train/images and train/labels, '
            'images/train and labels/train, images and labels, or label files beside the images'
        )
    return splits


def read_class_names(src: Path, given: Optional[Sequence[str]] = None) -> List[str]:
    """Return the names of the classes: those given, of the YAML file, or of ``classes.txt``.

    Raises:
        FileNotFoundError: If there is none of them.
        ValueError: If the YAML file has no names, or describes keypoints.
    """
    if given:
        return list(given)
    files = sorted([*src.glob('data.y*ml'), *src.glob('dataset.y*ml')]) or sorted(src.glob('*.y*ml'))
    if not files:
        path = src / 'classes.txt'
        if not path.is_file():
            raise FileNotFoundError(
                f'{src} has neither data.yaml nor classes.txt. Name the classes with --classes'
            )
        return [line.strip() for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
    try:
        content = yaml.safe_load(files[0].read_text(encoding='utf-8'))
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError(f'{files[0]} is not valid YAML: {error}') from None
    names = content.get('names') if isinstance(content, dict) else None
    if isinstance(names, dict) and sorted(map(str, names), key=_index) == [str(i) for i in range(len(names))]:
        names = [names[key] for key in sorted(names, key=_index)]
    if not isinstance(names, list) or not names:
        raise ValueError(
            f'{files[0]} has no list of names, such as names: [cat, dog]. Add it, or use --classes'
        )
    if 'kpt_shape' in content:
        raise ValueError(
            f'{files[0]} describes keypoints (kpt_shape), which detectors do not use. Export boxes'
        )
    return list(map(str, names))


def _index(key: object) -> int:
    return int(str(key)) if str(key).isdigit() else -1


def _labels_parts(parts: Sequence[str]) -> List[str]:
    """Replace the last ``images`` of a path by ``labels``."""
    places = [place for place, part in enumerate(parts) if part == 'images']
    return ['labels' if places and place == places[-1] else part for place, part in enumerate(parts)]


def _folders(src: Path) -> Iterator[Path]:
    """Yield a folder and its subfolders of two levels."""
    yield src
    for pattern in ('*/', '*/*/'):
        yield from sorted(path for path in src.glob(pattern) if not path.name.startswith('.'))
