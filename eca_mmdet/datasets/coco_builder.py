"""Build the content of a COCO annotation file, and write the files of a conversion."""

import json
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

from ..atomic_write import write_text


class CocoBuilder:
    """The content of an annotation file that grows image by image.

    Args:
        classes: The names of the classes, in the order of their labels.

    Attributes:
        content: The content. Ids of images, categories and annotations count from 1.
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.content: Dict[str, List[dict]] = dict(
            images=[],
            annotations=[],
            categories=[dict(id=label + 1, name=name) for label, name in enumerate(classes)],
        )

    def add_image(self, file_name: str, size: Tuple[int, int]) -> None:
        """Add an image of a width and height. Objects that are added next belong to it."""
        images = self.content['images']
        images.append(dict(id=len(images) + 1, file_name=file_name, width=size[0], height=size[1]))

    def add_object(
        self,
        label: int,
        box: Sequence[float],
        segmentation: Optional[Any] = None,
        area: Optional[float] = None,
        is_crowd: bool = False,
    ) -> bool:
        """Add an object to the last image. Its box is clipped to the image.

        Args:
            label: Index of its class.
            box: Left, top, right and bottom edge in pixels.
            segmentation: COCO polygons or run lengths.
            area: Area of the mask; by default that of the box.
            is_crowd: Whether training and evaluation ignore the object.

        Returns:
            Whether it was added. A box without area in the image is not.
        """
        image, items = self.content['images'][-1], self.content['annotations']
        left, right = max(min(box[0], box[2]), 0), min(max(box[0], box[2]), image['width'])
        top, bottom = max(min(box[1], box[3]), 0), min(max(box[1], box[3]), image['height'])
        width, height = round(right - left, 3), round(bottom - top, 3)
        if width <= 0 or height <= 0:
            return False
        items.append(
            dict(
                id=len(items) + 1,
                image_id=image['id'],
                category_id=label + 1,
                bbox=[round(left, 3), round(top, 3), width, height],
                area=round(width * height if area is None else area, 3),
                iscrowd=int(is_crowd),
                **({'segmentation': segmentation} if segmentation else {}),
            )
        )
        return True


def check_targets(out: Path, splits: Sequence[str], overwrite: bool) -> None:
    """Refuse to overwrite annotation files.

    Raises:
        FileExistsError: If a file exists and ``overwrite`` is not set.
    """
    existing = [path for path in (out / f'{split}.json' for split in splits) if path.exists()]
    if existing and not overwrite:
        raise FileExistsError(f'{existing[0]} exists. Use --overwrite, or name another folder with --out')


def write_splits(out: Path, builders: Dict[str, CocoBuilder]) -> List[str]:
    """Write ``SPLIT.json`` for each split, and return a line about each file."""
    lines = []
    for split, builder in builders.items():
        path = out / f'{split}.json'
        write_text(path, json.dumps(builder.content, ensure_ascii=False))
        counts = [len(builder.content[kind]) for kind in ('images', 'annotations', 'categories')]
        lines.append(f'{path}: {counts[0]} images, {counts[1]} objects, {counts[2]} classes')
    return lines
