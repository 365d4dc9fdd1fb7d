"""Prepare COCO: verify or download it, link it into place, make a smaller dataset from it."""

from pathlib import Path
from typing import Optional, Union

from .coco_copy import link_coco, verify_coco
from .coco_download import download_coco
from .coco_release import COCO2017, CocoRelease
from .coco_subset import make_subset, subset_size


def prepare_coco(
    target: Union[str, Path] = 'data/coco',
    source: Union[str, Path, None] = None,
    download: bool = False,
    server: Optional[str] = None,
    subset: Optional[str] = None,
    out: Union[str, Path, None] = None,
    seed: int = 0,
    copies: bool = False,
    release: CocoRelease = COCO2017,
) -> str:
    """Verify a copy of COCO and put it where the configs expect it.

    Args:
        target: The folder that the configs read.
        source: A copy to verify and to link into ``target``. By default ``target`` itself is verified.
        download: Whether to download what is missing in ``target``.
        server: Another server to download from.
        subset: Also make a smaller dataset: a percentage such as ``'1%'``, or a number of images per split.
        out: The folder of the smaller dataset. By default its name is that of ``target`` and the size.
        seed: Random seed of the smaller dataset.
        copies: Whether the smaller dataset has copies of the images instead of links.
        release: What is expected.

    Returns:
        A description of what was done.

    Raises:
        FileExistsError: If ``target`` or ``out`` has something else.
        FileNotFoundError: If a part of COCO is missing.
        DownloadError: If a file cannot be downloaded.
        ValueError: If a part is incomplete or changed, or if the options contradict each other.
    """
    target = Path(target).expanduser()
    if source and download:
        raise ValueError('--source and --download cannot be used together')
    if out and not subset:
        raise ValueError(f'--out {out} is the folder of a subset: add --subset 1%')
    if subset:
        subset_size(subset, 1)
        out = Path(out or f'{target}_{subset.strip().replace("%", "_percent")}').expanduser()
        if out.exists():
            raise FileExistsError(f'{out} exists and is not overwritten. Name another folder with --out')
    if download:
        download_coco(target, release, server)
    parts = verify_coco(source or target, release)
    lines = [f'{release.title} in {source or target} is complete and unchanged.']
    if source:
        link_coco(parts, target)
        lines.append(f'Linked into {target}.')
    if subset and out:
        names = [split.name for split in release.splits]
        counts = make_subset(parts, names, out, subset, seed, copies)
        for name, count in counts.items():
            lines.append(f'{out}/{name}: {count["images"]} images, {count["annotations"]} annotations')
        lines.append(f'Use it with --cfg-options data_root={out}')
    return '\n'.join(lines)
