"""Read a folder with a dataset in COCO format: annotation files, image folders and classes.

The layouts of COCO, Roboflow and most annotation tools are found without a config. Files are never changed:
where a file needs a correction, ``CocoSplit.write`` writes a corrected copy.
"""

import json
import logging
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple, Union

from mmengine.logging import print_log

from ..atomic_write import write_text
from .annotation_checks import check_index, read_annotations
from .coco_repairs import (
    check_category_names,
    complete_annotations,
    drop_supercategories,
    use_bare_names,
    use_classes,
)
from .fraction_split import split_off
from .image_folders import find_image_folder
from .split_files import SplitFiles, find_split_files

_LARGE_FILE = 50_000_000


class CocoSplit(NamedTuple):
    """A split of a dataset.

    Args:
        source: The annotation file.
        images: The folder of its images.
        content: The content of the file, with corrections.
        corrections: Sentences about what differs from the file. Empty if the file can be used as it is.
    """

    source: Path
    images: Path
    content: Dict[str, Any]
    corrections: List[str]

    def write(self, path: Path) -> Path:
        """Write the corrected content, and return its path: that of the file if it needs no correction."""
        if not self.corrections:
            return self.source
        write_text(path, json.dumps(self.content, ensure_ascii=False))
        return path


class CocoFolder(NamedTuple):
    """A dataset in COCO format.

    Args:
        root: Its folder.
        splits: ``'train'``, ``'val'`` and, if there is one, ``'test'``.
        classes: The names of the classes, in the order of their labels.
        has_masks: Whether every annotation has a mask.
    """

    root: Path
    splits: Dict[str, CocoSplit]
    classes: Tuple[str, ...]
    has_masks: bool


def find_coco_folder(folder: Union[str, Path], val_fraction: Optional[float] = None) -> CocoFolder:
    """Find the annotation files, images and classes of a folder.

    Args:
        folder: The folder of the dataset.
        val_fraction: Fraction of the training images to validate on, for a folder with training images only.

    Raises:
        FileNotFoundError: If the folder, an annotation file or an image is missing.
        ValueError: If several files could be meant, a file is not in COCO format, the splits have different
            classes, or there is nothing to validate on.
    """
    root = Path(folder).expanduser().resolve()
    if not root.is_dir():
        what = 'is a file, not a folder. Unpack it first' if root.exists() else 'does not exist'
        raise FileNotFoundError(
            f'--data {folder}: {root} {what}. Name the folder of a dataset in COCO format'
        )
    files = find_split_files(root)
    found = {split: _read_split(root, path, split) for split, path in files.named.items()}
    if files.unnamed:
        found['train'] = _read_split(root, files.unnamed, None)
    if not found.get('test', found['train']).content.get('annotations'):
        print_log(f'{found.pop("test").source} has no annotations and is not used.', level=logging.WARNING)
    splits = _with_validation(root, found, val_fraction, files)
    splits = {name: splits[name] for name in ('train', 'val', 'test') if name in splits}
    classes = _correct(splits)
    _warn_about_shared_images(splits)
    return CocoFolder(root, splits, classes, all(map(_has_masks, splits.values())))


def _read_split(root: Path, path: Path, split: Optional[str]) -> CocoSplit:
    size = path.stat().st_size
    if size > _LARGE_FILE:
        print_log(f'reading {path} ({size / 1e6:.0f} MB) ...')
    content = read_annotations(path)
    corrections = complete_annotations(content)
    check_index(content, path)
    names = [image['file_name'] for image in content['images']]
    folder = find_image_folder(root, path, split, names)
    if folder.are_bare:
        corrections += use_bare_names(content)
    return CocoSplit(path, folder.path, content, corrections)


def _with_validation(
    root: Path, found: Dict[str, CocoSplit], val_fraction: Optional[float], files: SplitFiles
) -> Dict[str, CocoSplit]:
    """Add a validation split: the test split, or a part of the training split."""
    if val_fraction is not None:
        others = [split for split in ('val', 'test') if split in found]
        if others:
            raise ValueError(
                f'--val-fraction {val_fraction} is for folders with training images only, but {root} has '
                f'{found[others[0]].source}. Remove the option'
            )
        if not 0 < val_fraction < 1:
            raise ValueError(f'--val-fraction is {val_fraction}, but must be between 0 and 1, such as 0.2')
        parts = split_off(found['train'].content, val_fraction, found['train'].source)
        reason = [f'--val-fraction {val_fraction} splits the file into training and validation images']
        return {
            split: found['train']._replace(content=part, corrections=found['train'].corrections + reason)
            for split, part in parts.items()
        }
    if 'val' in found:
        return found
    if 'test' in found:
        print_log(f'{root} has no validation split. The test split {found["test"].source} is used for it.')
        return {'train': found['train'], 'val': found['test'], 'test': found['test']}
    only = files.unnamed or files.named['train']
    raise ValueError(
        f'{root} has one annotation file, {only.relative_to(root)}, and none to validate with. Add val.json, '
        'or validate on a fifth of the images, which are not trained on, with\n    --val-fraction 0.2'
    )


def _correct(splits: Dict[str, CocoSplit]) -> Tuple[str, ...]:
    """Make the categories of all splits the same; return the names of the classes."""
    distinct = list({id(split): split for split in splits.values()}.values())
    dropped = drop_supercategories([split.content for split in distinct])
    for split in distinct:
        split.corrections.extend(dropped)
        check_category_names(split.content, split.source)
    train = splits['train']
    classes = tuple(category['name'] for category in train.content['categories'])
    for split in distinct:
        split.corrections.extend(use_classes(split.content, classes, split.source, train.source))
    used = {item['category_id'] for item in train.content['annotations']}
    unused = [item['name'] for item in train.content['categories'] if item['id'] not in used]
    if unused:
        print_log(
            f'{train.source} has no object of {len(unused)} of its {len(classes)} classes: {unused[:5]}. '
            'They cannot be trained.',
            level=logging.WARNING,
        )
    return classes


def _has_masks(split: CocoSplit) -> bool:
    items = [item for item in split.content['annotations'] if not item.get('iscrowd')]
    return bool(items) and all(item.get('segmentation') for item in items)


def _warn_about_shared_images(splits: Dict[str, CocoSplit]) -> None:
    files = {
        name: {split.images / image['file_name'] for image in split.content['images']}
        for name, split in splits.items()
    }
    for name in ('val', 'test'):
        shared = sorted(files['train'] & files.get(name, set()))
        if shared:
            print_log(
                f'{len(shared)} images are in the training set and in {splits[name].source}, such as '
                f'{shared[0]}. The results will be too good.',
                level=logging.WARNING,
            )
