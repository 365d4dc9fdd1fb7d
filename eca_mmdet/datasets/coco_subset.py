"""Make a smaller dataset from a part of the images of a COCO dataset."""

import json
import os
import shutil
from pathlib import Path
from typing import Dict, Sequence, Union

import numpy as np
from mmengine.utils import track_iter_progress

from .annotation_checks import check_index, read_annotations


def subset_size(text: str, total: int) -> int:
    """Return the number of images that ``'1%'`` or ``'500'`` means, at least one.

    Raises:
        ValueError: If the text is neither a percentage nor a number of images.
    """
    is_share = text.strip().endswith('%')
    try:
        value = float(text.strip().removesuffix('%')) if is_share else int(text)
    except ValueError:
        value = 0
    if not 0 < value <= (100 if is_share else float('inf')):
        raise ValueError(
            f'--subset {text} is neither a percentage above 0% up to 100%, such as 1%, nor a number of images'
        )
    return min(total, max(1, round(total * value / 100) if is_share else int(value)))


def make_subset(
    parts: Dict[str, Path],
    splits: Sequence[str],
    out: Union[str, Path],
    size: str,
    seed: int = 0,
    copies: bool = False,
) -> Dict[str, Dict[str, int]]:
    """Draw images at random, and write their annotations to a new dataset in the usual layout.

    All categories are kept, so that labels are those of the whole dataset. The same seed draws the same
    images. A larger subset contains a smaller one.

    Args:
        parts: The path of ``annotations`` and of each image folder, see ``find_parts``.
        splits: The names of the image folders.
        out: The folder to create.
        size: A percentage such as ``'1%'``, or a number of images of each split.
        seed: Random seed.
        copies: Whether to copy the images instead of linking them.

    Returns:
        The numbers of images and annotations of each split.

    Raises:
        FileExistsError: If ``out`` exists.
        FileNotFoundError: If an image is missing.
        ValueError: If ``size`` or an annotation file cannot be used.
    """
    out = Path(out).expanduser()
    if os.path.lexists(out):
        raise FileExistsError(f'{out} exists and is not overwritten. Name another folder with --out')
    subset_size(size, 1)
    unfinished = out.with_name(f'{out.name}.unfinished')
    shutil.rmtree(unfinished, ignore_errors=True)
    (unfinished / 'annotations').mkdir(parents=True)
    counts = {}
    for split in splits:
        file = parts['annotations'] / f'instances_{split}.json'
        content = read_annotations(file)
        check_index(content, file)
        chosen = _draw(content, size, seed)
        (unfinished / 'annotations' / file.name).write_text(json.dumps(chosen))
        for image in track_iter_progress(chosen['images']):
            source = (parts[split] / image['file_name']).resolve(strict=True)
            target = unfinished / split / image['file_name']
            target.parent.mkdir(parents=True, exist_ok=True)
            if copies:
                shutil.copyfile(source, target)
            else:
                target.symlink_to(source)
        counts[split] = {key: len(chosen[key]) for key in ('images', 'annotations')}
    os.replace(unfinished, out)
    return counts


def _draw(content: dict, size: str, seed: int) -> dict:
    """Return the content of an annotation file for some of its images, in the order of the file."""
    images = content['images']
    order = np.random.default_rng(seed).permutation(len(images))
    positions = sorted(order[: subset_size(size, len(images))].tolist())
    kept = [images[position] for position in positions]
    ids = {image['id'] for image in kept}
    annotations = [item for item in content.get('annotations', []) if item['image_id'] in ids]
    return {**content, 'images': kept, 'annotations': annotations}
