"""Check the masks of COCO annotations: polygons, and run lengths (RLE) as a list or compressed.

pycocotools does not validate its input. It reads uninitialised memory for a run length encoding that is too
short, and crashes the process for a polygon with NaN.
"""

from math import isfinite
from typing import Any, List


def loading_mask_fault(annotation: dict, image: dict, mask_format: str) -> str:
    """Return what makes ``LoadAnnotations(with_mask=True)`` fail, or an empty string.

    It ignores objects whose polygons are all invalid, and all run lengths if the format is ``'polygon'``.
    """
    mask = annotation.get('segmentation')
    if not mask:
        return 'without segmentation, which is needed to train the mask head'
    if isinstance(mask, list):
        return _polygons_fault(mask)
    if mask_format == 'polygon':
        return ''
    if not isinstance(mask, dict):
        return 'whose segmentation is neither polygons nor run lengths'
    if mask.get('size') is None or not isinstance(mask.get('counts'), (list, str)):
        return ''
    return _rle_fault(mask, image)


def evaluation_mask_fault(annotation: dict, image: dict) -> str:
    """Return what makes pycocotools fail in an evaluation of masks, or an empty string."""
    mask = annotation.get('segmentation')
    if not mask:
        return 'without segmentation, which is needed to evaluate masks'
    if isinstance(mask, list):
        fault = _polygons_fault(mask)
        if fault or len(mask[0]) >= 5:
            return fault
        return 'whose segmentation begins with a polygon of fewer than three points'
    if not isinstance(mask, dict) or not isinstance(mask.get('counts'), (list, str)):
        return 'whose segmentation is neither polygons nor run lengths'
    return _rle_fault(mask, image)


def _polygons_fault(polygons: list) -> str:
    for polygon in polygons:
        if not isinstance(polygon, list):
            return 'whose segmentation is not a list of polygons [[x1, y1, x2, y2, ...]]'
        try:
            if not isfinite(sum(polygon)):
                return 'whose segmentation has a coordinate that is not finite'
        except (TypeError, OverflowError):
            return 'whose segmentation has a coordinate that is not a number'
    return ''


def _rle_fault(mask: dict, image: dict) -> str:
    size, counts = mask.get('size'), mask['counts']
    if size != [image['height'], image['width']]:
        return 'whose segmentation does not have the size of its image'
    try:
        runs = counts if isinstance(counts, list) else decompress(counts)
        is_valid = all(isinstance(run, int) for run in runs) and min(runs) >= 0
    except ValueError:
        is_valid = False
    if is_valid and sum(runs) == size[0] * size[1]:
        return ''
    return 'whose segmentation has counts that do not add up to its size'


def decompress(text: str) -> Any:
    """Decode the run lengths of COCO's compressed RLE.

    Each character holds five bits of a number. From the fourth number on, the differences to the number
    two places before are stored.

    Raises:
        ValueError: If the text has invalid characters or ends within a number.
    """
    runs: List[int] = []
    value = shift = 0
    for char in text.encode():
        bits = char - 48
        if not 0 <= bits < 64:
            raise ValueError(f'invalid character {chr(char)!r} in run lengths')
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
