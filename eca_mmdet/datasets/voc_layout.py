"""Find the XML files of a Pascal VOC folder, their images and their splits."""

import logging
from pathlib import Path
from typing import Dict, Iterable, List, Optional

from mmengine.logging import print_log

from .image_size import IMAGE_SUFFIXES
from .split_files import split_of

_LISTS = {'train': ('train', 'trainval'), 'val': ('val',), 'test': ('test',)}


class ImageIndex:
    """The images of some folders by name.

    Args:
        folders: The folders, those to prefer first.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self.names: Dict[str, Path] = {}
        self.stems: Dict[str, Path] = {}
        for folder in dict.fromkeys(folders):
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith('.'):
                    self.names.setdefault(path.name, path)
                    self.stems.setdefault(path.stem, path)

    def find(self, xml: Path, file_name: str) -> Optional[Path]:
        """Return the image of an XML file: with its stem, else the one that it names.

        Names in XML files are often out of date, because images were renamed later.
        """
        named = self.names.get(file_name)
        if named and named.stem == xml.stem:
            return named
        return self.stems.get(xml.stem) or named


class VocSplit:
    """The XML files of a split and the images that may belong to them."""

    def __init__(self, files: List[Path], root: Path) -> None:
        self.files = files
        parents = list(dict.fromkeys(path.parent for path in files))
        near = [folder for parent in parents if parent != root for folder in _subfolders(parent.parent)]
        self.images = ImageIndex([*parents, root, *_subfolders(root), *near])


def find_voc_splits(src: Path) -> Dict[str, VocSplit]:
    """Find the XML files of each split.

    The layouts are that of VOC (``Annotations``, ``JPEGImages``, ``ImageSets/Main``), folders for each split
    (``train``, ``valid``, ``test``), and XML files next to the images or in a separate folder, which are
    all for training.

    Raises:
        FileNotFoundError: If there are no XML files, or not all that a list in ``ImageSets/Main`` names.
    """
    if not src.is_dir():
        raise FileNotFoundError(f'{src} is not a folder. Name the folder with the XML files')
    lists = src / 'ImageSets' / 'Main'
    if lists.is_dir():
        return _listed_splits(src, lists)
    by_folder: Dict[str, List[Path]] = {}
    roots: Dict[str, Path] = {}
    for folder in _subfolders(src):
        split = split_of(folder.name)
        files = _xml_files(folder)
        if split and files:
            by_folder.setdefault(split, []).extend(files)
            roots.setdefault(split, folder)
    if 'train' in by_folder:
        return {split: VocSplit(files, roots[split]) for split, files in by_folder.items()}
    files = _xml_files(src)
    if not files:
        folders = [folder.name for folder in _subfolders(src)][:8]
        raise FileNotFoundError(
            f'{src} has no XML files. Folders found: {", ".join(folders) or "none"}. Name the folder '
            'that contains Annotations/, train/, or XML files beside images'
        )
    return {'train': VocSplit(files, src)}


def _listed_splits(src: Path, lists: Path) -> Dict[str, VocSplit]:
    splits = {}
    for split, names in _LISTS.items():
        path = next((lists / f'{name}.txt' for name in names if (lists / f'{name}.txt').is_file()), None)
        if path is None:
            continue
        stems = [line.split()[0] for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
        files = [src / 'Annotations' / f'{stem}.xml' for stem in dict.fromkeys(stems)]
        missing = [file for file in files if not file.is_file()]
        if missing and len(missing) == len(files) and split != 'train':
            print_log(f'{path} is not used: none of its images has an XML file.', level=logging.WARNING)
        elif missing:
            raise FileNotFoundError(
                f'{len(missing)} of {len(files)} images in {path} have no XML file, the first is {missing[0]}'
            )
        elif files:
            splits[split] = VocSplit(files, src)
    if 'train' not in splits:
        raise FileNotFoundError(f'{lists} has no train.txt or trainval.txt with images')
    return splits


def _xml_files(folder: Path) -> List[Path]:
    """List the XML files in a folder and its subfolders of the first level."""
    return sorted(path for pattern in ('*.xml', '*/*.xml') for path in folder.glob(pattern))


def _subfolders(folder: Path) -> List[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith('.'))
