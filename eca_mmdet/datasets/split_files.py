"""Find the annotation files of a dataset in COCO format, and which split each of them belongs to."""

import re
from pathlib import Path
from typing import Dict, List, NamedTuple, Optional

from .annotation_checks import read_annotations

SPLIT_WORDS = {
    'train': {'train', 'training'},
    'val': {'val', 'valid', 'validation'},
    'test': {'test', 'testing'},
}
"""Words in the names of files and folders that name a split."""

_OTHER_TASKS = {'captions', 'info', 'panoptic', 'predictions', 'results', 'stuff'}
_ANNOTATION_WORDS = {'annotation', 'annotations', 'coco', 'instances', 'labels'}
_MAX_UNNAMED = 20

LAYOUTS = (
    'Allowed are\n'
    '    annotations/instances_train2017.json, instances_val2017.json, train2017/, val2017/  (COCO)\n'
    '    train/_annotations.coco.json, valid/_annotations.coco.json, images beside them      (Roboflow)\n'
    '    train.json, val.json, in the folder or in annotations/, images in images/, train/, ...'
)


class SplitFiles(NamedTuple):
    """The annotation files of a folder.

    Args:
        named: One file for each split that was found: ``'train'``, ``'val'`` and ``'test'``.
        unnamed: The only annotation file of a folder without named ones.
    """

    named: Dict[str, Path]
    unnamed: Optional[Path] = None


def words_of(name: str) -> List[str]:
    """Return the words of a file name in lower case, without digits and punctuation."""
    return re.findall('[a-z]+', name.lower())


def split_of(name: str) -> Optional[str]:
    """Return the split that a file or folder name mentions, or ``None``."""
    found = [split for split, words in SPLIT_WORDS.items() if words & set(words_of(name))]
    return found[0] if len(found) == 1 else None


def find_split_files(root: Path) -> SplitFiles:
    """Find the annotation files in a folder and its direct subfolders.

    Raises:
        FileNotFoundError: If there is no file for the training split.
        ValueError: If there are several files for a split.
    """
    paths = sorted(
        path
        for pattern in ('*.json', '*/*.json')
        for path in root.glob(pattern)
        if not any(part.startswith(('.', '__')) for part in path.relative_to(root).parts)
    )
    candidates: Dict[str, List[Path]] = {}
    for path in paths:
        split = _split_of_file(path, root)
        if split and not _OTHER_TASKS & set(words_of(path.stem)):
            candidates.setdefault(split, []).append(path)
    named = {split: _choose(files, split, root) for split, files in candidates.items()}
    if 'train' in named:
        return SplitFiles(named)
    unnamed = _unnamed_files([path for path in paths if path not in named.values()])
    if len(unnamed) == 1 and not named:
        return SplitFiles({}, unnamed[0])
    raise FileNotFoundError(_not_found_message(root, paths, named, unnamed))


def _split_of_file(path: Path, root: Path) -> Optional[str]:
    """Return the split in the name of a file, else, as in Roboflow's layout, in that of its folder."""
    split = split_of(path.stem)
    if split or path.parent == root or not _ANNOTATION_WORDS & set(words_of(path.stem)):
        return split
    return split_of(path.parent.name)


def _choose(files: List[Path], split: str, root: Path) -> Path:
    """Choose COCO's ``instances`` file from several, and leave keypoints to the last."""

    def rank(path: Path) -> int:
        words = words_of(path.stem)
        return 0 if 'instances' in words else 2 if 'keypoints' in words else 1

    best = [path for path in files if rank(path) == min(map(rank, files))]
    if len(best) > 1:
        raise ValueError(
            f'{root} has several annotation files for {split}: {_names(best, root)}. '
            'Keep one of them in the folder, or write a config that names the file (docs/datasets.md)'
        )
    return best[0]


def _unnamed_files(paths: List[Path]) -> List[Path]:
    """Return the files with the content of COCO annotations."""
    found = []
    for path in paths[:_MAX_UNNAMED]:
        try:
            content = read_annotations(path)
        except (ValueError, OSError):
            continue
        if content.get('annotations') and content['categories']:
            found.append(path)
    return found


def _names(paths: List[Path], root: Path) -> str:
    names = [path.relative_to(root).as_posix() for path in paths]
    return f'{", ".join(names[:8])}{", ..." if len(names) > 8 else ""}' or 'none'


def _not_found_message(root: Path, paths: List[Path], named: Dict[str, Path], unnamed: List[Path]) -> str:
    if len(unnamed) > 1 and not named:
        return (
            f'{root} has several annotation files, and their names do not say which is for training: '
            f'{_names(unnamed, root)}. Name them train.json and val.json'
        )
    folders = sorted(path.name for path in root.iterdir() if path.is_dir())[:8]
    lines = [
        f'{root} has no annotation file for training. JSON files found: {_names(paths, root)}. '
        f'Folders found: {", ".join(folders) or "none"}.',
        LAYOUTS,
    ]
    if any(next(root.glob(pattern), None) for pattern in ('*.xml', '*/*.xml')):
        lines.append(
            f'The folder has XML files. Convert Pascal VOC with\n    python tools/voc_to_coco.py {root}'
        )
    elif any(next(root.glob(pattern), None) for pattern in ('*.yaml', '*.yml')):
        lines.append(
            f'The folder has a YAML file. Convert YOLO with\n    python tools/yolo_to_coco.py {root}'
        )
    return '\n'.join(lines)
