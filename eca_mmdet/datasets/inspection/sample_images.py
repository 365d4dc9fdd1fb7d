"""Choose sample images of a dataset and draw their annotations."""

from collections import Counter, defaultdict
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

import cv2
import numpy as np
from pycocotools import mask as rle

from ..fault_report import NOTE
from ..suspicious_masks import compress
from ..suspicious_records import is_box
from .dataset_report import SourceReport

_SIDE = 480  # pixels of the longer side of a drawing


class Sample(NamedTuple):
    """An image with drawn annotations.

    Args:
        caption: Source, file name and number of objects.
        findings: What is wrong with the image or its annotations.
        drawing: ``(H, W, 3)`` uint8, BGR.
    """

    caption: str
    findings: List[str]
    drawing: np.ndarray


def draw_samples(part: SourceReport, count: int) -> Iterator[Sample]:
    """Draw images with findings first, then images of every class, then others.

    Args:
        part: The annotation file and its findings.
        count: The number of images. Those that cannot be read are left out.
    """
    if not part.content or not part.source.folder:
        return
    images = {image['id']: image for image in part.content['images']}
    objects: Dict[Any, List[dict]] = defaultdict(list)
    for annotation in part.content['annotations']:
        objects[annotation['image_id']].append(annotation)
    findings = _findings_of_images(part, images)
    drawn = 0
    for key in _order(part.content, objects, findings, count):
        if drawn == count:
            return
        pixels = _read(part, images[key])
        if pixels is None:
            continue
        drawn += 1
        caption = f'{part.source.name}: {images[key]["file_name"]}, {len(objects[key])} annotations'
        yield Sample(caption, findings.get(key, []), _draw(pixels, objects[key], part.content['categories']))


def _findings_of_images(part: SourceReport, images: Dict[Any, dict]) -> Dict[Any, List[str]]:
    """Return the names of the findings of each image that is an example of one."""
    found: Dict[Any, List[str]] = defaultdict(list)
    by_path = {facts.path: image['id'] for facts, image in zip(part.images, part.content['images'])}
    for finding in part.faults.findings.values():
        if finding.kind.severity == NOTE:
            continue
        for record in finding.records:
            if isinstance(record, dict):
                key = record.get('image_id', record.get('id'))
            else:
                key = by_path.get(record)
            if key in images and finding.kind.name not in found[key]:
                found[key].append(finding.kind.name)
    return found


def _order(content: dict, objects: dict, findings: dict, count: int) -> List[Any]:
    """Return image ids: up to a third with findings, then one for each class, then the rest."""
    chosen = dict.fromkeys(list(findings)[: max(1, count // 3)])
    frequency = Counter(item['category_id'] for item in content['annotations'])
    first: Dict[Any, Any] = {}
    for key, annotations in objects.items():
        for annotation in annotations:
            first.setdefault(annotation['category_id'], key)
    known = {image['id'] for image in content['images']}
    for category, _ in sorted(frequency.items(), key=lambda item: item[1]):
        if first[category] in known:
            chosen.setdefault(first[category])
    ids = [image['id'] for image in content['images']]
    spread = ids[:: max(1, len(ids) // max(count, 1))]
    chosen.update(dict.fromkeys([*spread, *ids]))
    return list(chosen)


def _read(part: SourceReport, image: dict) -> Optional[np.ndarray]:
    from ...prediction.sources import read_image

    try:
        pixels = read_image(f'{part.source.folder}/{image["file_name"]}').pixels
    except (OSError, ValueError):
        return None
    return pixels


def _draw(pixels: np.ndarray, annotations: List[dict], categories: List[dict]) -> np.ndarray:
    from ...prediction.drawing import draw
    from ...prediction.result import Result

    names = [str(category['name']) for category in categories]
    labels = {category['id']: index for index, category in enumerate(categories)}
    shown = [item for item in annotations if item['category_id'] in labels and is_box(item.get('bbox'))]
    height, width = pixels.shape[:2]
    scale = _SIDE / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    boxes = np.array([item['bbox'] for item in shown], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    masks = [_mask(item, height, width) for item in shown]
    has_masks = any(mask is not None for mask in masks)
    stack = [
        np.zeros(size[::-1], bool)
        if mask is None
        else cv2.resize(mask, size, interpolation=cv2.INTER_NEAREST).astype(bool)
        for mask in masks
    ]
    result = Result(
        classes=(*names, *(f'{name} (crowd)' for name in names)),
        size=size[::-1],
        boxes=boxes * scale,
        scores=np.ones(len(shown), np.float32),
        labels=np.array(
            [labels[item['category_id']] + len(names) * bool(item.get('iscrowd')) for item in shown], np.int64
        ),
        masks=np.stack(stack) if has_masks else None,
        image=cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR),
    )
    return draw(result, with_scores=False)


def _mask(annotation: dict, height: int, width: int) -> Optional[np.ndarray]:
    mask = annotation.get('segmentation')
    if isinstance(mask, list):
        polygons = [polygon for polygon in mask if len(polygon) >= 6 and len(polygon) % 2 == 0]
        return rle.decode(rle.merge(rle.frPyObjects(polygons, height, width))) if polygons else None
    if isinstance(mask, dict) and mask.get('size') == [height, width]:
        return rle.decode(compress(mask))
    return None
