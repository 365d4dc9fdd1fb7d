"""Convert a dataset with YOLO's label files to COCO format. The library supervision reads the labels."""

import logging
import os
from pathlib import Path
from typing import Any, List, Optional, Sequence, Union

import numpy as np
from mmengine.logging import print_log
from mmengine.utils import track_iter_progress
from pycocotools import mask as rle

from .coco_builder import CocoBuilder, check_targets, write_splits
from .image_size import read_image_size
from .yolo_layout import YoloImage, find_yolo_splits, read_class_names

_BOX_FIELDS = 6  # class, x, y, width, height and perhaps a score; more fields are a polygon


def convert_yolo(
    src: Union[str, Path],
    out: Union[str, Path, None] = None,
    classes: Optional[Sequence[str]] = None,
    overwrite: bool = False,
) -> List[str]:
    """Write ``train.json`` and, where they exist, ``val.json`` and ``test.json``. Images stay where they are.

    Args:
        src: The folder, see ``find_yolo_splits``.
        out: Output folder; by default ``src``. File names in it are relative to this folder.
        classes: The names of the classes; by default those of ``data.yaml`` or ``classes.txt``.
        overwrite: Whether to replace existing files.

    Returns:
        A line about each file.

    Raises:
        FileExistsError: If a file exists and ``overwrite`` is not set.
        FileNotFoundError: If there are no images with label files, or no names of classes.
        ImportError: If supervision is not installed.
        ValueError: If a label file is faulty.
    """
    src, out = Path(src).expanduser(), Path(out or src).expanduser()
    names = read_class_names(src, classes)
    splits = find_yolo_splits(src)
    check_targets(out, list(splits), overwrite)
    return write_splits(out, {split: _build(samples, names, out) for split, samples in splits.items()})


def _build(samples: List[YoloImage], names: Sequence[str], out: Path) -> CocoBuilder:
    builder, empty, unlabelled = CocoBuilder(names), [], 0
    for sample in track_iter_progress(samples):
        builder.add_image(
            Path(os.path.relpath(sample.image, out)).as_posix(), size := read_image_size(sample.image)
        )
        if not sample.labels.is_file():
            unlabelled += 1
        elif not _add_objects(builder, sample.labels, size, names):
            empty.append(sample.labels)
    if unlabelled:
        print_log(f'{unlabelled} images without a label file count as images without objects.')
    if empty:
        print_log(
            f'objects without area in their image are left out in {len(empty)} files, first {empty[0]}.',
            level=logging.WARNING,
        )
    return builder


def _add_objects(builder: CocoBuilder, path: Path, size: tuple, names: Sequence[str]) -> bool:
    """Add the objects of a label file; return whether all have an area."""
    try:
        from supervision.dataset.formats.yolo import yolo_annotations_to_detections
    except ImportError as error:
        raise ImportError(
            f'reading YOLO labels needs supervision ({error}):\n    pip install supervision'
        ) from None
    try:
        lines = [line for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
        are_polygons = [len(line.split()) > _BOX_FIELDS for line in lines]
        found: Any = yolo_annotations_to_detections(lines, size, with_masks=any(are_polygons))
    except (ValueError, UnicodeError) as error:
        raise ValueError(f'{path}: {error}') from None
    labels = [] if found.class_id is None else found.class_id.tolist()
    wrong = [label for label in labels if not 0 <= label < len(names)]
    if wrong:
        raise ValueError(
            f'{path} has the class {wrong[0]}, but there are {len(names)} classes (0 to {len(names) - 1}): '
            f'{list(names)[:10]}'
        )
    are_added = []
    for index, label in enumerate(labels):
        segmentation, area = None, None
        if are_polygons[index]:
            encoded = rle.encode(np.asfortranarray(found.mask[index], np.uint8))
            area = float(rle.area(encoded))
            segmentation = dict(size=[size[1], size[0]], counts=encoded['counts'].decode())
        are_added.append(builder.add_object(label, found.xyxy[index].tolist(), segmentation, area))
    return all(are_added)
