"""Checks that the images of a data set are there."""

import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import Any, FrozenSet, Iterable, List, Tuple

from mmcv.transforms import LoadImageFromFile
from mmengine.logging import print_log


def check_images(split: Any, images: List[dict], ann_file: Path, loading: List[Tuple[type, dict]]) -> None:
    """Check that the files of a data set's images, and of its segmentation maps, are there.

    Args:
        split: The data set.
        images: Its images that pass its filter.
        ann_file: The annotation file, for messages.
        loading: The classes and settings of the transforms of its pipeline.

    Raises:
        FileNotFoundError: If one is missing, or all are and the pipeline leaves out missing images.
        ValueError: If the data set does not say where its images are.
    """
    prefixes = split.node.get('data_prefix') or {}
    if not isinstance(prefixes.get('img'), str):
        raise ValueError(f'{split.key}.data_prefix is {prefixes}: it needs an image folder as img')
    kind, loader = loading[0] if loading else (None, {})
    reason = _not_checked(split.path(prefixes['img']), kind, loader)
    if reason:
        print_log(f'The images of {split.key} were not checked: {reason}.', level=logging.WARNING)
        return
    names = [image['file_name'] for image in images]
    missing = missing_files(split.path(prefixes['img']), names)
    if missing and (not loader.get('ignore_empty') or len(missing) == len(names)):
        raise FileNotFoundError(
            f'image {missing[0]}, the first of {len(missing)} of {ann_file} that are missing: '
            f'no such file. Name the image folder with --cfg-options {split.key}.data_prefix.img=FOLDER/'
        )
    if prefixes.get('seg') and any(node.get('with_seg') for _, node in loading):
        suffix = split.node.get('seg_map_suffix', '.png')
        missing = missing_files(split.path(prefixes['seg']), [n.rsplit('.', 1)[0] + suffix for n in names])
        if missing:
            raise FileNotFoundError(
                f'segmentation map {missing[0]}, the first of {len(missing)} that are missing: no such file. '
                f'Name their folder with --cfg-options {split.key}.data_prefix.seg=FOLDER/'
            )


def _not_checked(folder: str, kind: Any, loader: dict) -> str:
    # A class of the user's, or a transform before it, may look for the images elsewhere.
    if getattr(kind, 'transform', None) is not LoadImageFromFile.transform:
        return 'its pipeline does not begin with LoadImageFromFile'
    storage = [loader.get(key) or {} for key in ('backend_args', 'file_client_args')]
    if '://' in folder or any(args.get('backend', 'local') not in ('local', 'disk') for args in storage):
        return 'they are not on the local disk'
    return ''


def missing_files(folder: str, names: Iterable[str]) -> List[str]:
    """The files of these names that are not there. A folder is listed once, not asked for each file."""
    listed = lru_cache(maxsize=None)(_listing)
    paths = [os.path.join(folder, name) for name in names]
    unlisted = [path for path in paths if os.path.basename(path) not in listed(os.path.dirname(path))]
    return [path for path in unlisted if not os.path.isfile(path)]


def _listing(folder: str) -> FrozenSet[str]:
    try:
        return frozenset(os.listdir(folder or '.'))
    except OSError:
        return frozenset()
