"""Convert the nuclei dataset of the Data Science Bowl 2018, stage 1 (CC0), to COCO format.

The published dataset (Broad Bioimage Benchmark Collection, BBBC038) has one folder per image, with the image
``ID/images/ID.png`` and one binary mask per nucleus in ``ID/masks/``.
"""

import json
import shutil
from pathlib import Path
from typing import Any, Dict, List, Union

import cv2
import numpy as np
from mmengine.utils import track_iter_progress
from pycocotools import mask as rle

from .semantic_masks import write_mask


def convert_nuclei(src: Union[str, Path], dst: Union[str, Path], val: int = 120, seed: int = 0) -> None:
    """Write ``dst/annotations/{train,val}.json`` and ``dst/semantic/``, and copy the images to ``dst``.

    The semantic masks have the value 1 inside of nuclei and 0 elsewhere.

    Args:
        src: The unpacked folder ``stage1_train``.
        dst: Output folder, in the structure that ``configs/_base_/nuclei_instance.py`` expects.
        val: Number of validation images, which are drawn at random.
        seed: Random seed of the split.

    Raises:
        FileNotFoundError: If ``src`` does not have the published structure.
        FileExistsError: If ``dst`` already contains annotations.
        ValueError: If there would be no validation or training images, or an image cannot be read.
    """
    src, dst = Path(src), Path(dst)
    if (dst / 'annotations').exists():
        raise FileExistsError(f'{dst}/annotations exists and is not overwritten; name another folder')
    images = sorted(src.glob('*/images/*.png'))
    if not images:
        raise FileNotFoundError(f'{src} has no images */images/*.png. Name the unpacked folder stage1_train')
    if not 0 < val < len(images):
        raise ValueError(
            f'val is {val}, but must be between 1 and {len(images) - 1} for {len(images)} images'
        )
    val_indices = set(np.random.default_rng(seed).permutation(len(images))[:val].tolist())
    splits: Dict[str, List[Path]] = {'train': [], 'val': []}
    for index, path in enumerate(images):
        splits['val' if index in val_indices else 'train'].append(path)
    content = {split: _copy_split(paths, dst, split) for split, paths in splits.items()}
    (dst / 'annotations').mkdir()  # last, so that an interrupted conversion can be repeated
    for split, coco in content.items():
        (dst / 'annotations' / f'{split}.json').write_text(json.dumps(coco))


def _copy_split(paths: List[Path], dst: Path, split: str) -> Dict[str, Any]:
    folder = dst / split
    folder.mkdir(parents=True, exist_ok=True)
    coco: Dict[str, Any] = dict(
        info=dict(description='nuclei, Data Science Bowl 2018 stage 1 train (Broad Institute, CC0)'),
        images=[],
        annotations=[],
        categories=[dict(id=1, name='nucleus')],
    )
    for image_id, path in enumerate(track_iter_progress(paths), 1):
        name = f'{path.stem[:16]}.png'
        shutil.copyfile(path, folder / name)
        height, width = _read_image(path, cv2.IMREAD_COLOR).shape[:2]
        labels = np.zeros((height, width), np.uint8)
        for mask_path in sorted(path.parent.parent.glob('masks/*.png')):
            mask = _read_image(mask_path, cv2.IMREAD_GRAYSCALE) > 0
            labels[mask] = 1
            if mask.any():
                coco['annotations'].append(_annotation(mask, len(coco['annotations']) + 1, image_id))
        write_mask(dst / 'semantic' / split, name, labels)
        coco['images'].append(dict(id=image_id, file_name=name, height=height, width=width))
    return coco


def _read_image(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise ValueError(f'{path} cannot be read as an image. Unpack the dataset again')
    return image


def _annotation(mask: np.ndarray, annotation_id: int, image_id: int) -> dict:
    encoded = rle.encode(np.asfortranarray(mask, np.uint8))
    return dict(
        id=annotation_id,
        image_id=image_id,
        category_id=1,
        iscrowd=0,
        area=float(rle.area(encoded)),
        bbox=[float(v) for v in rle.toBbox(encoded)],
        segmentation=dict(size=list(mask.shape), counts=encoded['counts'].decode()),
    )
