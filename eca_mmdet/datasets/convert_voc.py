"""Convert a dataset with Pascal VOC's XML files to COCO format."""

import logging
import os
from pathlib import Path
from typing import List, NamedTuple, Optional, Sequence, Union

from mmengine.logging import print_log
from mmengine.utils import track_iter_progress

from .coco_builder import CocoBuilder, check_targets, write_splits
from .image_size import read_image_size
from .pascal_voc import VocFile, polygon_area, read_voc
from .voc_layout import VocSplit, find_voc_splits


class _Sample(NamedTuple):
    """An XML file with its image."""

    xml: Path
    content: VocFile
    image: Path


def convert_voc(
    src: Union[str, Path],
    out: Union[str, Path, None] = None,
    classes: Optional[Sequence[str]] = None,
    is_zero_based: bool = False,
    overwrite: bool = False,
) -> List[str]:
    """Write ``train.json`` and, where they exist, ``val.json`` and ``test.json``. Images stay where they are.

    Difficult objects become crowds, which training and evaluation ignore, as in mmdet's ``VOCDataset``.
    Images without an XML file are left out.

    Args:
        src: The folder, see ``find_voc_splits``.
        out: Output folder; by default ``src``. File names in it are relative to this folder.
        classes: The classes to convert, in this order; by default all, sorted by name.
        is_zero_based: Whether coordinates count from 0.
        overwrite: Whether to replace existing files.

    Returns:
        A line about each file.

    Raises:
        FileExistsError: If a file exists and ``overwrite`` is not set.
        FileNotFoundError: If XML files or images are missing.
        ValueError: If an XML file is faulty or no object has one of the classes.
    """
    src, out = Path(src).expanduser(), Path(out or src).expanduser()
    splits = find_voc_splits(src)
    check_targets(out, list(splits), overwrite)
    samples = {name: _read_split(split, is_zero_based) for name, split in splits.items()}
    found = {item.name for split in samples.values() for sample in split for item in sample.content.objects}
    names = list(dict.fromkeys(classes)) if classes else sorted(found)
    unknown = [name for name in names if name not in found]
    if unknown or not names:
        raise ValueError(
            f'{src} has no objects of the classes {unknown}. Its classes are {sorted(found)[:20]}'
            if found
            else f'{src} has XML files without objects'
        )
    left_out = sorted(found - set(names))
    if left_out:
        print_log(f'objects of other classes are left out: {", ".join(left_out[:10])}')
    return write_splits(out, {name: _build(split, names, out) for name, split in samples.items()})


def _read_split(split: VocSplit, is_zero_based: bool) -> List[_Sample]:
    """Read all XML files of a split, and report all missing images together."""
    samples, missing = [], []
    for xml in track_iter_progress(split.files):
        content = read_voc(xml, is_zero_based)
        image = split.images.find(xml, content.file_name)
        if image is None:
            missing.append(xml)
        else:
            samples.append(_Sample(xml, content, image))
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of {len(split.files)} XML files have no image, the first is {missing[0]}. '
            'Add the images, or remove these files'
        )
    unused = len(split.images.stems) - len({sample.image.stem for sample in samples})
    if unused > 0 and all(sample.image.parent == sample.xml.parent for sample in samples):
        print_log(f'{unused} images without an XML file are left out.', level=logging.WARNING)
    return samples


def _build(samples: List[_Sample], names: Sequence[str], out: Path) -> CocoBuilder:
    builder, empty = CocoBuilder(names), []
    labels = {name: label for label, name in enumerate(names)}
    for sample in samples:
        size = read_image_size(sample.image)
        if sample.content.size not in (None, size):
            raise ValueError(
                f'{sample.xml} states the size {sample.content.size}, but {sample.image} has {size}. '
                'The boxes belong to an image of the stated size. Correct <size>, or use that image'
            )
        builder.add_image(Path(os.path.relpath(sample.image, out)).as_posix(), size)
        for item in sample.content.objects:
            if item.name not in labels:
                continue
            polygons = [item.polygon] if item.polygon else None
            area = polygon_area(item.polygon) if item.polygon else None
            if not builder.add_object(labels[item.name], item.box, polygons, area, item.is_difficult):
                empty.append(sample.xml)
    if empty:
        print_log(
            f'{len(empty)} objects without area in their image are left out, the first in {empty[0]}.',
            level=logging.WARNING,
        )
    return builder
