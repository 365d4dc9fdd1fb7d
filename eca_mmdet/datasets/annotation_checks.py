"""Check the content of a COCO annotation file.

A record is rejected if ``CocoDataset`` or pycocotools would raise an error, or would silently misread it.
Records that mmdet ignores, such as boxes without area or unused categories, are accepted.
"""

import json
from math import isfinite
from pathlib import Path
from typing import Any, Collection, Dict, List, NamedTuple, Optional

from .fault_report import DataFault, FaultReport
from .mask_checks import evaluation_mask_fault, loading_mask_fault

NOT_JSON = 'files that are not valid JSON'
NOT_COCO = 'files that are not in COCO format'


class AnnotationUse(NamedTuple):
    """How a run uses an annotation file.

    Args:
        path: The file, for messages.
        categories: Ids of the categories that are used.
        mask_format: How ``LoadAnnotations`` loads masks: ``'bitmap'``, ``'polygon'`` or ``None``.
        metrics: The metrics that ``CocoMetric`` evaluates with the file. Empty if a dataset loads the file.
    """

    path: Path
    categories: Collection[Any]
    mask_format: Optional[str] = None
    metrics: Collection[str] = ()


def read_annotations(path: Path) -> dict:
    """Read a COCO annotation file.

    Raises:
        DataFault: If it is not JSON, or if images or categories are missing or have the wrong type.
    """
    try:
        with open(path) as file:
            content: Any = json.load(file)
    except (ValueError, RecursionError) as error:
        raise DataFault(
            NOT_JSON,
            f'{path} is not valid JSON: {error}. The file may be damaged, incomplete or in another encoding',
        ) from None
    if not isinstance(content, dict):
        raise DataFault(
            NOT_COCO,
            f'{path} is not a COCO detection file: it contains a {type(content).__name__}, not a dict',
        )
    absent = [key for key in ('images', 'categories') if not isinstance(content.get(key), list)]
    if not isinstance(content.get('annotations', []), list):
        absent.append('annotations')
    if absent or not content['images']:
        raise DataFault(
            NOT_COCO,
            f'{path} is not a COCO detection file with images: {absent or ["images"]} missing or empty. '
            'The file needs the lists images, categories and, unless it is a test set, annotations',
        )
    return content


def check_index(content: dict, path: Path, metrics: Optional[Collection[str]] = None) -> None:
    """Check the fields that pycocotools needs to index a file: ids, names and sizes.

    Args:
        content: The result of ``read_annotations``.
        path: The file, for messages.
        metrics: The metrics that ``CocoMetric`` evaluates with the file, or ``None`` for a dataset.

    Raises:
        ValueError: If a record lacks a field, or several records have the same id.
    """
    faults = FaultReport(path)
    find_index_faults(content, faults, metrics)
    faults.raise_if_any()


def find_index_faults(
    content: dict, faults: FaultReport, metrics: Optional[Collection[str]] = None
) -> Dict[str, Any]:
    """Find the faults of ``check_index``.

    Returns:
        The content without the records that have a fault.
    """
    is_dataset = metrics is None
    sizes = ('height', 'width') if metrics is None or 'segm' in metrics else ()
    names = ('file_name',) if is_dataset else ()
    fields = dict(
        images=('id', *sizes, *names),
        categories=('id', 'name'),
        annotations=('id', 'image_id', 'category_id'),
    )
    for kind, required in fields.items():
        _check_records(content.get(kind, []), kind, required, faults)
    content = sound_records(content, faults)
    for image in content['images']:
        if is_dataset and not isinstance(image['file_name'], str):
            faults.add('images whose file_name is not a string', image)
        if content['annotations'] and not all(_is_size(image[side]) for side in sizes):
            faults.add('images whose height or width is not a positive number', image)
    for kind in () if is_dataset else ('images', 'categories'):  # pycocotools sorts their ids
        types = {str if isinstance(record['id'], str) else float for record in content[kind]}
        wrong = [record for record in content[kind] if not isinstance(record['id'], (str, int, float))]
        if wrong or len(types) > 1:
            faults.add(f'{kind} whose ids are not all numbers or all strings', (wrong or content[kind])[0])
    return sound_records(content, faults)


def sound_records(content: dict, faults: FaultReport) -> Dict[str, Any]:
    """Return the content of a file without the records that have an error."""
    kinds = ('images', 'categories', 'annotations')
    return {**content, **{kind: faults.without_errors(content.get(kind, [])) for kind in kinds}}


def _check_records(records: List[Any], kind: str, fields: Collection[str], faults: FaultReport) -> None:
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
                faults.add(f'{kind} with a duplicate id', record)
            seen.add(record['id'])


def _is_size(value: Any) -> bool:
    return isinstance(value, (int, float)) and isfinite(value) and value > 0


def check_annotations(content: dict, use: AnnotationUse) -> Dict[Any, int]:
    """Check the annotations of a file that has passed ``check_index``.

    Returns:
        The number of annotations that mmdet's ``CocoDataset`` keeps, by image id.

    Raises:
        ValueError: If an annotation would stop the run or be misread.
    """
    faults = FaultReport(use.path)
    kept = find_annotation_faults(content, use, faults)
    faults.raise_if_any()
    return kept


def find_annotation_faults(content: dict, use: AnnotationUse, faults: FaultReport) -> Dict[Any, int]:
    """Find the faults of ``check_annotations``; return the same numbers."""
    kept: Dict[Any, int] = {}
    images = {image['id']: image for image in content['images']}
    find_fault = _evaluation_fault if use.metrics else _loading_fault
    for annotation in content.get('annotations', []):
        image = images.get(annotation['image_id'])
        if image is None:
            continue
        fault = find_fault(annotation, image, use)
        if fault is None:
            kept[image['id']] = kept.get(image['id'], 0) + 1
        elif fault:
            faults.add(f'annotations {fault}', annotation)
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


def _loading_fault(annotation: dict, image: dict, use: AnnotationUse) -> Optional[str]:
    """Return what makes ``CocoDataset`` or ``LoadAnnotations`` fail.

    Empty if they ignore the annotation, ``None`` if it has no fault.
    """
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
        return 'whose iscrowd is a string, not 0 or 1'
    return loading_mask_fault(annotation, image, use.mask_format) or None if use.mask_format else None


def _evaluation_fault(annotation: dict, image: dict, use: AnnotationUse) -> Optional[str]:
    """Return what makes ``CocoMetric`` fail.

    Empty if it ignores the annotation, ``None`` if it has no fault.
    """
    ignores_categories = 'proposal_fast' in use.metrics and not annotation.get('ignore', False)
    evaluated = set(use.metrics) - {'proposal_fast'} if annotation['category_id'] in use.categories else set()
    if not ignores_categories and not evaluated:
        return ''
    if not isinstance(annotation.get('iscrowd'), (int, float)):
        return 'without iscrowd' if 'iscrowd' not in annotation else 'whose iscrowd is not 0 or 1'
    fault = _area_fault(annotation) if evaluated else ''
    if not fault and (ignores_categories or evaluated - {'segm'}):
        fault = _box_fault(annotation)
    if not fault and 'segm' in evaluated:
        fault = evaluation_mask_fault(annotation, image)
    return fault or None
