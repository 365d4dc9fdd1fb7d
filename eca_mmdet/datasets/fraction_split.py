"""Split a COCO annotation file into training and validation images."""

from hashlib import sha1
from pathlib import Path
from typing import Dict

from .image_folders import bare_name


def split_off(content: dict, val_fraction: float, path: Path) -> Dict[str, dict]:
    """Split the content of an annotation file.

    An image is assigned by a hash of its name, so that the split is always the same.
    Versions of one image that Roboflow has augmented (``NAME.rf.HASH.jpg``) stay together.

    Args:
        content: The content of the file.
        val_fraction: Fraction of the images to validate on, between 0 and 1.
        path: The file, for messages.

    Returns:
        The contents for ``'train'`` and ``'val'``.

    Raises:
        ValueError: If the file has fewer than two images.
    """
    groups: Dict[str, list] = {}
    for image in content['images']:
        groups.setdefault(bare_name(image['file_name']).split('.rf.')[0], []).append(image['id'])
    if len(groups) < 2:
        raise ValueError(f'{path} has {len(groups)} image. At least two are needed for --val-fraction')
    names = sorted(groups, key=lambda name: sha1(name.encode()).digest())
    count = min(max(1, round(val_fraction * len(names))), len(names) - 1)
    chosen = {image_id for name in names[:count] for image_id in groups[name]}
    return {
        'train': _select(content, {image['id'] for image in content['images']} - chosen),
        'val': _select(content, chosen),
    }


def _select(content: dict, image_ids: set) -> dict:
    return {
        **content,
        'images': [image for image in content['images'] if image['id'] in image_ids],
        'annotations': [item for item in content['annotations'] if item['image_id'] in image_ids],
        'categories': [dict(category) for category in content['categories']],
    }
