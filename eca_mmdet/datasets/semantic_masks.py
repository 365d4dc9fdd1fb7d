"""Write semantic masks: PNG files with the label of each pixel."""

import json
import os
from pathlib import Path
from typing import Dict, List, Union

import cv2
import numpy as np
from mmengine.utils import track_iter_progress
from pycocotools import mask as rle


def write_mask(folder: Path, image_name: str, labels: np.ndarray) -> None:
    """Write the semantic mask of an image.

    Args:
        folder: Output folder, which is created.
        image_name: File name of the image. The mask has the suffix ``.png``.
        labels: ``(H, W)``, uint8.

    Raises:
        OSError: If the file cannot be written.
    """
    path = (folder / image_name).with_suffix('.png')
    path.parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(str(path), labels):
        raise OSError(f'{path} cannot be written')


def masks_from_coco(src: Union[str, Path], dst: Union[str, Path], splits: List[str]) -> None:
    """Write binary masks of a dataset in COCO format: 1 inside of any object, 0 elsewhere.

    The masks are ``dst/semantic/SPLIT/NAME.png``. If ``dst`` is another folder, it also gets links to the
    image folders, so that it is a complete dataset of semantic segmentation.

    Args:
        src: Folder with ``annotations/SPLIT.json`` and the images in ``SPLIT/``.
        dst: Output folder; it may be ``src``.
        splits: Names of the splits.

    Raises:
        FileNotFoundError: If an annotation file or image folder is missing.
        FileExistsError: If ``dst`` has masks already, or something else in place of an image folder.
    """
    src, dst = Path(src), Path(dst)
    for split in splits:
        for path in (src / 'annotations' / f'{split}.json', src / split):
            if not path.exists():
                raise FileNotFoundError(f'{path} not found. Name a folder with annotations and images')
    if (dst / 'semantic').exists():
        raise FileExistsError(f'{dst}/semantic exists and is not overwritten. Name another folder')
    for split in splits:
        link = dst / split
        if not (link.exists() and link.samefile(src / split)):
            link.parent.mkdir(parents=True, exist_ok=True)
            os.symlink((src / split).resolve(), link, target_is_directory=True)
        _write_split(
            json.loads((src / 'annotations' / f'{split}.json').read_text()), dst / 'semantic' / split
        )


def _write_split(coco: dict, folder: Path) -> None:
    objects: Dict[int, List[dict]] = {}
    for annotation in coco['annotations']:
        objects.setdefault(annotation['image_id'], []).append(annotation)
    for image in track_iter_progress(coco['images']):
        labels = np.zeros((image['height'], image['width']), np.uint8)
        for annotation in objects.get(image['id'], []):
            labels[_decode(annotation['segmentation'], *labels.shape) > 0] = 1
        write_mask(folder, image['file_name'], labels)


def _decode(segmentation: Union[dict, list], height: int, width: int) -> np.ndarray:
    """Decode polygons or run lengths of COCO to a mask ``(H, W)``."""
    if isinstance(segmentation, list):
        return rle.decode(rle.merge(rle.frPyObjects(segmentation, height, width)))
    if isinstance(segmentation['counts'], list):
        segmentation = rle.frPyObjects(segmentation, height, width)
    return rle.decode(segmentation)
