"""Check that the image files of a dataset exist, and that a sample of them has the right size."""

import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, FrozenSet, Iterable, List, Tuple

from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log

from .image_headers import check_headers


def check_images(split: Any, images: List[dict], ann_file: Path, transforms: List[Tuple[type, dict]]) -> None:
    """Check that the files of the images and segmentation maps of a dataset exist, and sizes of a sample.

    Args:
        split: The dataset.
        images: The images that pass the filter of the dataset.
        ann_file: The annotation file, for messages.
        transforms: Class and settings of each transform of the pipeline.

    Raises:
        FileNotFoundError: If a file is missing. If the pipeline skips missing images, all must be missing.
        ValueError: If the dataset has no image folder, or an image of the sample is damaged or has another
            size than the annotation file states.
    """
    prefixes = split.settings.get('data_prefix') or {}
    if not isinstance(prefixes.get('img'), str):
        raise ValueError(f'{split.key}.data_prefix is {prefixes}. Use data_prefix=dict(img=FOLDER)')
    cls, loader = transforms[0] if transforms else (None, {})
    folder = split.resolve_path(prefixes['img'])
    reason = skip_reason(folder, cls, loader)
    if reason:
        print_log(f'The images of {split.key} were not checked: {reason}.', level=logging.WARNING)
        return
    names = [image['file_name'] for image in images]
    missing = missing_files(folder, names)
    if missing and (not loader.get('ignore_empty') or len(missing) == len(names)):
        raise FileNotFoundError(
            f'{len(missing)} images of {ann_file} not found, the first is {missing[0]}. '
            f'Name the image folder with --cfg-options {split.key}.data_prefix.img=FOLDER/'
        )
    check_headers(folder, images, ann_file, uses_orientation(loader))
    if prefixes.get('seg') and any(settings.get('with_seg') for _, settings in transforms):
        suffix = split.settings.get('seg_map_suffix', '.png')
        names = [name.rsplit('.', 1)[0] + suffix for name in names]
        missing = missing_files(split.resolve_path(prefixes['seg']), names)
        if missing:
            raise FileNotFoundError(
                f'{len(missing)} segmentation maps not found, the first is {missing[0]}. '
                f'Name their folder with --cfg-options {split.key}.data_prefix.seg=FOLDER/'
            )


def uses_orientation(loader: dict) -> bool:
    """Whether ``LoadImageFromFile`` with these settings turns images by their EXIF orientation."""
    color = str(loader.get('color_type', 'color'))
    return 'ignore_orientation' not in color and color != 'unchanged'


def skip_reason(folder: str, cls: Any, loader: dict) -> str:
    """Return why image files cannot be checked, or an empty string.

    Args:
        folder: The image folder.
        cls: The class of the first transform.
        loader: The settings of the first transform.
    """
    # A custom class, or a transform before it, may read the images from another place.
    if getattr(cls, 'transform', None) is not LoadImageFromFile.transform:
        return 'its pipeline does not begin with LoadImageFromFile'
    storage = [loader.get(key) or {} for key in ('backend_args', 'file_client_args')]
    if '://' in folder or any(args.get('backend', 'local') not in ('local', 'disk') for args in storage):
        return 'they are not on the local disk'
    return ''


def missing_files(folder: str, names: Iterable[str]) -> List[str]:
    """Return the paths of the files that do not exist. Each folder is listed only once, for speed."""
    list_folder = lru_cache(maxsize=None)(_list_folder)
    paths = [os.path.join(folder, name) for name in names]
    unlisted = [path for path in paths if os.path.basename(path) not in list_folder(os.path.dirname(path))]
    return [path for path in unlisted if not os.path.isfile(path)]


def _list_folder(folder: str) -> FrozenSet[str]:
    try:
        return frozenset(os.listdir(folder or '.'))
    except OSError:
        return frozenset()
