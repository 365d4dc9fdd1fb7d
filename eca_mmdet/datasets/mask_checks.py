"""Checks of the masks of COCO annotations: polygons, and run lengths (RLE) as a list or compressed.

pycocotools does not check what it is given. A run length encoding that is too short shows whatever lies
in memory, and a polygon with NaN crashes the process.
"""

from math import isfinite
from typing import Any


def mask_fault(annotation: dict, image: dict, form: str) -> str:
    """What ``LoadAnnotations(with_mask=True)`` would stop at, or empty.

    It ignores objects whose polygons are all invalid, and all run lengths if ``form`` is ``'polygon'``.
    """
    mask = annotation.get('segmentation')
    if not mask:
        return 'without segmentation, which the mask head learns from'
    if isinstance(mask, list):
        return _polygons_fault(mask)
    if form == 'polygon':
        return ''
    if not isinstance(mask, dict):
        return 'whose segmentation is neither polygons nor run lengths'
    if mask.get('size') is None or not isinstance(mask.get('counts'), (list, str)):
        return ''
    return _rle_fault(mask, image)


def truth_mask_fault(annotation: dict, image: dict) -> str:
    """What pycocotools would stop at in the ground truth of masks, or empty."""
    mask = annotation.get('segmentation')
    if not mask:
        return 'without segmentation, which the evaluation of masks compares with'
    if isinstance(mask, list):
        fault = _polygons_fault(mask)
        if fault or len(mask[0]) >= 5:
            return fault
        return 'whose segmentation has a first polygon of fewer than three points'
    if not isinstance(mask, dict) or not isinstance(mask.get('counts'), (list, str)):
        return 'whose segmentation is neither polygons nor run lengths'
    return _rle_fault(mask, image)


def _polygons_fault(polygons: list) -> str:
    for polygon in polygons:
        if not isinstance(polygon, list):
            return 'whose segmentation is not a list of polygons [[x1, y1, x2, y2, ...]]'
        try:
            if not isfinite(sum(polygon)):
                return 'whose segmentation is not finite'
        except (TypeError, OverflowError):
            return 'whose segmentation has a coordinate that is not a number'
    return ''


def _rle_fault(mask: dict, image: dict) -> str:
    size, counts = mask.get('size'), mask['counts']
    if size != [image['height'], image['width']]:
        return 'whose segmentation has another size than its image'
    try:
        runs = counts if isinstance(counts, list) else decompress(counts)
        is_whole = all(isinstance(run, int) for run in runs) and min(runs) >= 0
    except ValueError:
        is_whole = False
    return '' if is_whole and sum(runs) == size[0] * size[1] else (
        'whose segmentation has counts that do not add up to its size'
    )  # fmt: skip


def decompress(text: str) -> Any:
    """The run lengths of COCO's compressed RLE: five bits a character, and from the fourth on differences.

    Raises:
        ValueError: If the text has other characters, or ends within a number.
    """
    runs, value, shift = [], 0, 0
    for char in text.encode():
        bits = char - 48
        if not 0 <= bits < 64:
            raise ValueError(f'{chr(char)!r} in run lengths')
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError('the run lengths end within a number')
    return runs
