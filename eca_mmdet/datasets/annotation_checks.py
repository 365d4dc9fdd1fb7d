"""Checks of what a COCO annotation file holds, against what ``CocoDataset`` and pycocotools do with it.

A record is refused where one of them would raise, or where it would silently be taken for something else.
What mmdet leaves out on its own (boxes without area, other categories) is left alone.
"""

import json
from math import isfinite
from numbers import Number
from pathlib import Path
from typing import Any, Collection, Dict, List, NamedTuple, Optional

from .mask_checks import mask_fault, truth_mask_fault

REMEDIES = {
    'area': 'annotation["area"] = w * h, or the area of the mask',
    'iscrowd': 'annotation["iscrowd"] = 0, or 1 for a region of many objects',
    'segmentation': 'give each object its polygons or run lengths, or use a detector without a mask head',
    'id': 'give every record a number of its own',
}


class Use(NamedTuple):
    """What a run does with an annotation file.

    Args:
        path: The file, for messages.
        categories: Ids of the categories in use.
        masks: ``None``, or how ``LoadAnnotations`` reads masks: ``'bitmap'`` or ``'polygon'``.
        metrics: What ``CocoMetric`` evaluates against the file; empty for a data set.
    """

    path: Path
    categories: Collection[Any]
    masks: Optional[str] = None
    metrics: Collection[str] = ()


class Faults:
    """Counts the faults of a file by kind, and remembers the first record of each."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.kinds: Dict[str, list] = {}

    def add(self, text: str, record: Any) -> None:
        """Count a fault of a record, named by its id where it has one."""
        known = self.kinds.setdefault(text, [0, record])
        known[0] += 1

    def raise_any(self) -> None:
        """Raise one ``ValueError`` for all faults that were added."""
        if not self.kinds:
            return
        lines = [f'    {text}: {count}, first {_name(first)}' for text, (count, first) in self.kinds.items()]
        remedies = [
            f'    {key}: {text}' for key, text in REMEDIES.items() if f' {key}' in ' '.join(self.kinds)
        ]
        raise ValueError(
            '\n'.join([f'{self.path} cannot be used as it is:', *lines, 'Correct the file.', *remedies])
        )


def _name(record: Any) -> str:
    if isinstance(record, dict) and 'id' in record:
        return f'id {record["id"]!r}'
    text = json.dumps(record, default=str)
    return text if len(text) < 80 else text[:77] + '...'


def read_annotations(path: Path) -> dict:
    """Read a COCO annotation file as pycocotools does.

    Raises:
        ValueError: If it is not JSON, or lacks images or categories, or holds something else in their place.
    """
    try:
        with open(path) as file:
            content: Any = json.load(file)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f'{path} is not valid JSON: {error}; the file is damaged or incomplete, or has another encoding'
        ) from None
    if not isinstance(content, dict):
        raise ValueError(
            f'{path} is not a COCO detection file: it holds a {type(content).__name__}, not a dict'
        )
    absent = [key for key in ('images', 'categories') if not isinstance(content.get(key), list)]
    if not isinstance(content.get('annotations', []), list):
        absent.append('annotations')
    if absent or not content['images']:
        raise ValueError(
            f'{path} is not a COCO detection file with images: it needs the lists images, categories and, '
            f'unless it is a test set, annotations; {absent or ["images"]} missing or empty'
        )
    return content


def check_index(content: dict, path: Path, metrics: Optional[Collection[str]] = None) -> None:
    """Check what pycocotools needs to read a file at all: ids, names, sizes.

    Args:
        content: What ``read_annotations`` returned.
        path: Its file, for messages.
        metrics: What ``CocoMetric`` evaluates against the file; ``None`` for a data set.

    Raises:
        ValueError: If a record lacks a field, or two records share an id.
    """
    faults, is_data = Faults(path), metrics is None
    sizes = ('height', 'width') if is_data or 'segm' in metrics else ()
    _check_records(content['images'], 'images', ('id', *sizes, *(['file_name'] if is_data else [])), faults)
    _check_records(content['categories'], 'categories', ('id', 'name'), faults)
    annotations = content.get('annotations', [])
    _check_records(annotations, 'annotations', ('id', 'image_id', 'category_id'), faults)
    faults.raise_any()
    for image in content['images']:
        if is_data and not isinstance(image['file_name'], str):
            faults.add('images whose file_name is not text', image)
        if annotations and not all(_is_size(image[side]) for side in sizes):
            faults.add('images whose height or width is not a positive number', image)
    for kind in () if is_data else ('images', 'categories'):  # pycocotools sorts them
        kinds = {str if isinstance(record['id'], str) else float for record in content[kind]}
        odd = [record for record in content[kind] if not isinstance(record['id'], (str, int, float))]
        if odd or len(kinds) > 1:
            faults.add(f'{kind} with ids that are not all numbers or all text', (odd or content[kind])[0])
    faults.raise_any()


def _check_records(records: List[Any], kind: str, fields: Collection[str], faults: Faults) -> None:
    seen = set()
    for record in records:
        try:
            for field in fields:
                hash(record[field])
        except (KeyError, IndexError):
            faults.add(f'{kind} without {field}', record)
        except TypeError:
            what = f'whose {field} is not a number' if isinstance(record, dict) else 'that are not objects'
            faults.add(f'{kind} {what}', record)
        else:
            if record['id'] in seen:
                faults.add(f'{kind} with the id of another', record)
            seen.add(record['id'])


def _is_size(value: Any) -> bool:
    return isinstance(value, Number) and not isinstance(value, complex) and isfinite(value) and value > 0


def check_annotations(content: dict, use: Use) -> Dict[Any, int]:
    """Check the annotations of a file whose index is right.

    Returns:
        The number of annotations that mmdet's ``CocoDataset`` keeps, by image id.

    Raises:
        ValueError: If one would stop the run, or be taken for something else.
    """
    faults, kept = Faults(use.path), {}
    images = {image['id']: image for image in content['images']}
    for annotation in content.get('annotations', []):
        image = images.get(annotation['image_id'])
        if image is None:
            continue
        fault = (_truth_fault if use.metrics else _sample_fault)(annotation, image, use)
        if fault is None:
            kept[image['id']] = kept.get(image['id'], 0) + 1
        elif fault:
            faults.add(f'annotations {fault}', annotation)
    faults.raise_any()
    return kept


def _box_fault(annotation: dict) -> str:
    if 'bbox' not in annotation:
        return 'without bbox'
    try:
        x, y, w, h = annotation['bbox']
        return '' if isfinite(x + y + w + h) else 'whose bbox is not finite'
    except (TypeError, ValueError, OverflowError):
        return 'whose bbox is not [x, y, width, height]'


def _area_fault(annotation: dict) -> str:
    if 'area' not in annotation:
        return 'without area'
    area = annotation['area']
    return '' if isinstance(area, (int, float)) and area == area else 'whose area is not a number'


def _sample_fault(annotation: dict, image: dict, use: Use) -> Optional[str]:
    """The fault that ``CocoDataset`` or ``LoadAnnotations`` meets; empty for what they leave out."""
    if annotation.get('ignore', False):
        return ''
    fault = _box_fault(annotation)
    if fault:
        return fault
    x, y, w, h = annotation['bbox']
    if min(x + w, image['width']) <= max(x, 0) or min(y + h, image['height']) <= max(y, 0):
        return ''
    fault = _area_fault(annotation)
    if fault:
        return fault
    if annotation['area'] <= 0 or w < 1 or h < 1 or annotation['category_id'] not in use.categories:
        return ''
    if isinstance(annotation.get('iscrowd'), str) and annotation['iscrowd'] != '1':
        return 'whose iscrowd is text, not 0 or 1'
    return mask_fault(annotation, image, use.masks) or None if use.masks else None


def _truth_fault(annotation: dict, image: dict, use: Use) -> Optional[str]:
    """The fault that ``CocoMetric`` meets in the ground truth; empty for what it leaves out."""
    reads_all = 'proposal_fast' in use.metrics and not annotation.get('ignore', False)
    evaluated = set(use.metrics) - {'proposal_fast'} if annotation['category_id'] in use.categories else set()
    if not reads_all and not evaluated:
        return ''
    if not isinstance(annotation.get('iscrowd'), (int, float)):
        return 'without iscrowd' if 'iscrowd' not in annotation else 'whose iscrowd is not 0 or 1'
    fault = _area_fault(annotation) if evaluated else ''
    if not fault and (reads_all or evaluated - {'segm'}):
        fault = _box_fault(annotation)
    if not fault and 'segm' in evaluated:
        fault = truth_mask_fault(annotation, image)
    return fault or None
