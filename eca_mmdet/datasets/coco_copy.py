"""Verify a copy of COCO, and link it to where the configs expect it."""

import hashlib
import os
from pathlib import Path
from typing import Any, Dict, Iterator, List, Union

from mmengine.logging import print_log

from .annotation_checks import read_annotations
from .coco_release import COCO2017, CocoRelease, CocoSplit
from .image_checks import missing_files

_PLACES = ('{name}', 'images/{name}', 'annotations_trainval2017/{name}')
_CHUNK = 1 << 22


def find_parts(root: Path, release: CocoRelease = COCO2017) -> Dict[str, Path]:
    """Find the annotation folder and the image folders of a copy.

    Args:
        root: The folder of the copy. Images may also be in ``images/``, as YOLO has them.
        release: What is expected.

    Returns:
        The path of each part, by its name in the usual layout.

    Raises:
        FileNotFoundError: If something is missing. The message names all of it.
    """
    if not root.is_dir():
        raise FileNotFoundError(f'{root}: no such folder')
    parts: Dict[str, Path] = {}
    missing: List[str] = []
    for name in ('annotations', *(split.name for split in release.splits)):
        places = [root / place.format(name=name) for place in _PLACES]
        found = next((place for place in places if place.is_dir()), None)
        if found is None:
            missing.append(_missing(root, name, release))
        else:
            parts[name] = found
    for split in release.splits:
        file = Path(split.ann_file)
        if 'annotations' in parts and not (parts['annotations'] / file.name).is_file():
            missing.append(str(parts['annotations'] / file.name))
    if missing:
        lines = '\n    '.join(missing)
        names = ', '.join(f'{split.ann_file}, {split.name}/' for split in release.splits)
        raise FileNotFoundError(
            f'{root} is not a copy of {release.title}. Missing:\n    {lines}\nExpected are {names}'
        )
    return parts


def _missing(root: Path, name: str, release: CocoRelease) -> str:
    for archive in release.archives:
        if name in archive.members and (root / archive.name).is_file():
            return f'{name}/: {archive.name} is there, but not unpacked. Run\n        unzip -q {archive.name}'
    return f'{name}/'


def verify_coco(root: Union[str, Path], release: CocoRelease = COCO2017) -> Dict[str, Path]:
    """Verify layout, numbers of images and annotations, image files and checksums of a copy.

    Args:
        root: The folder of the copy.
        release: What is expected.

    Returns:
        The path of each part, by its name in the usual layout.

    Raises:
        FileNotFoundError: If a part is missing.
        ValueError: If a part is incomplete or changed. The message lists everything that differs.
    """
    root = Path(root).expanduser()
    parts = find_parts(root, release)
    wrong: List[str] = []
    for split in release.splits:
        print_log(f'verifying {split.name} in {parts[split.name]}')
        file = parts['annotations'] / Path(split.ann_file).name
        wrong += _annotation_differences(file, split, release.categories)
        wrong += _image_differences(file, parts[split.name], split)
    if wrong:
        lines = '\n    '.join(wrong)
        raise ValueError(
            f'{root} differs from {release.title}:\n    {lines}\nUnpack or download these parts again'
        )
    return parts


def _annotation_differences(file: Path, split: CocoSplit, categories: int) -> Iterator[str]:
    content = _read(file)
    if isinstance(content, str):
        yield content
        return
    expected = dict(images=split.images, annotations=split.annotations, categories=categories)
    for key, count in expected.items():
        number = len(content.get(key, []))
        if number != count:
            yield f'{file} has {number} {key} instead of {count}'
    if split.sha256:
        found = checksum(file, 'sha256')
        if found != split.sha256:
            yield f'{file} is damaged or changed: its SHA-256 sum is {found} instead of {split.sha256}'


def _read(file: Path) -> Union[dict, str]:
    """Read an annotation file, or return why it cannot be read."""
    try:
        return read_annotations(file)
    except ValueError as error:
        return str(error)


def _image_differences(file: Path, folder: Path, split: CocoSplit) -> Iterator[str]:
    content = _read(file)
    names = [] if isinstance(content, str) else [image['file_name'] for image in content['images']]
    missing = missing_files(str(folder), names)
    if missing:
        yield f'{folder} lacks {len(missing)} of {len(names)} images, the first is {Path(missing[0]).name}'
    with os.scandir(folder) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries if entry.name.endswith('.jpg')}
    empty = sorted(name for name, size in sizes.items() if not size)
    if empty:
        yield f'{folder} has {len(empty)} empty files, the first is {empty[0]}'
    if not missing and len(sizes) != split.images:
        yield f'{folder} has {len(sizes)} images instead of {split.images}'


def checksum(path: Path, kind: str, progress: Any = None) -> str:
    """Return the checksum of a file.

    Args:
        path: The file.
        kind: Its algorithm: ``'md5'`` or ``'sha256'``.
        progress: Called with the number of bytes of each block.
    """
    digest = hashlib.new(kind)
    with open(path, 'rb') as file:
        while block := file.read(_CHUNK):
            digest.update(block)
            if progress:
                progress(len(block))
    return digest.hexdigest()


def link_coco(parts: Dict[str, Path], target: Union[str, Path]) -> None:
    """Link the parts of a copy into the folder that the configs read.

    Args:
        parts: The result of ``verify_coco``.
        target: The folder, such as ``data/coco``.

    Raises:
        FileExistsError: If the folder has something else in place of a part. Nothing is linked then.
    """
    target = Path(target).expanduser()
    links = {target / name: path.resolve() for name, path in parts.items()}
    for link, path in links.items():
        if os.path.lexists(link) and not (link.exists() and link.samefile(path)):
            raise FileExistsError(
                f'{link} is already there and is not {path}. Remove it, or name another folder with --target'
            )
    target.mkdir(parents=True, exist_ok=True)
    for link, path in links.items():
        if not os.path.lexists(link):
            link.symlink_to(path, target_is_directory=True)
