"""Find the folder that contains the images of an annotation file."""

from pathlib import Path, PureWindowsPath
from typing import List, NamedTuple, Optional

from .image_checks import missing_files
from .split_files import split_of

_SAMPLE = 20


class ImageFolder(NamedTuple):
    """The image folder of an annotation file.

    Args:
        path: The folder.
        are_bare: Whether it contains the images under their names only, without the folder in ``file_name``.
    """

    path: Path
    are_bare: bool = False


def find_image_folder(root: Path, ann_file: Path, split: Optional[str], names: List[str]) -> ImageFolder:
    """Find the folder that contains all images of an annotation file.

    Folders that are named after another split are left out, because the same file name can be another image
    there.

    Args:
        root: The folder of the dataset.
        ann_file: The annotation file.
        split: Its split, ``None`` if its name does not tell.
        names: The ``file_name`` of each image.

    Raises:
        FileNotFoundError: If no folder contains all images.
    """
    folders = _candidates(root, ann_file, split)
    best, most = None, 0
    for are_bare in (False, True):
        if are_bare:
            names = [bare_name(name) for name in names]
            if len(set(names)) < len(names):
                break
        sample = names[:: max(1, len(names) // _SAMPLE)]
        for folder in folders:
            found = len(sample) - len(missing_files(str(folder), sample))
            if found == len(sample) and not missing_files(str(folder), names):
                return ImageFolder(folder, are_bare)
            if found > most:
                best, most = (folder, names), found
    searched = ', '.join(folder.relative_to(root).as_posix() for folder in folders[:10])
    if best is None:
        raise FileNotFoundError(
            f'the images of {ann_file} were not found. The first is {names[0]!r}. Folders searched in '
            f'{root}: {searched}{", ..." if len(folders) > 10 else ""}. Put the images into one of them'
        )
    missing = missing_files(str(best[0]), best[1])
    raise FileNotFoundError(
        f'{len(missing)} of {len(names)} images of {ann_file} are not in {best[0]}, the first is '
        f'{missing[0]}. Add the images, or remove them from the annotation file'
    )


def bare_name(name: str) -> str:
    """Return a file name without its folder, which may be written with ``/`` or ``\\``."""
    return PureWindowsPath(name).name


def _candidates(root: Path, ann_file: Path, split: Optional[str]) -> List[Path]:
    """List the folders that may contain the images of a split, the most specific ones first."""
    folders = [root, ann_file.parent, *_subfolders(root)]
    folders += [inner for folder in folders[2:] for inner in _subfolders(folder)]
    ranked = []
    for folder in dict.fromkeys(folders):
        parts = folder.relative_to(root).parts
        splits = {split_of(part) for part in parts} - {None}
        if split and splits - {split}:
            continue
        # Of train2014/ and train2017/, the second belongs to instances_train2017.json.
        is_named_in_file = any(len(part) > 2 and part.lower() in ann_file.stem.lower() for part in parts[-1:])
        ranked.append((not (splits and is_named_in_file), not splits, folder != ann_file.parent, folder))
    return [folder for *_, folder in sorted(ranked)]


def _subfolders(folder: Path) -> List[Path]:
    return sorted(
        path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(('.', '__'))
    )
