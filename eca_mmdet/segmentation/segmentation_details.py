"""Details of a segmentation for the report: IoU of classes, confusion matrix, best and worst images."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

import cv2
import mmcv
import numpy as np
import torch
from mmengine.fileio import get
from mmengine.logging import print_log

from ..report import Confusion, EvaluationDetails, Example, encode_picture
from .side_by_side import side_by_side

COUNT = 6
"""Number of the best images and of the worst."""
_SIDE = 240  # pixels, the width of each panel


@dataclass
class ImageResult:
    """What a metric keeps of each image, a few kB.

    Args:
        path: The image file.
        miou: The mean IoU of the classes in its ground truth or prediction; NaN without labelled pixels.
        pairs: Ground truth and prediction as ``truth * classes + prediction``, one entry per pair.
        pixels: Number of pixels of each pair.
        maps: Reduced label maps of ground truth and prediction, as PNG.
    """

    path: str
    miou: float
    pairs: np.ndarray
    pixels: np.ndarray
    maps: Tuple[bytes, bytes]


def image_result(
    sample: Dict[str, Any], areas: Sequence[torch.Tensor], classes: int, ignore_index: int
) -> ImageResult:
    """Summarise the prediction for one image.

    Args:
        sample: The prediction of mmseg, as a dict.
        areas: Intersection and union of each class in pixels, from ``intersect_and_union``.
        classes: Number of classes.
        ignore_index: The label of pixels that are not evaluated.
    """
    truth, predicted = (_labels(sample[name]) for name in ('gt_sem_seg', 'pred_sem_seg'))
    is_labelled = truth != ignore_index
    pairs, pixels = np.unique(truth[is_labelled] * classes + predicted[is_labelled], return_counts=True)
    intersection, union = (np.asarray(area.cpu(), float) for area in areas[:2])
    present = union > 0
    miou = float((intersection[present] / union[present]).mean()) if present.any() else float('nan')
    maps = (_encode_map(truth), _encode_map(predicted))
    return ImageResult(str(sample.get('img_path') or ''), miou, pairs, pixels, maps)


def _labels(entry: Dict[str, Any]) -> np.ndarray:
    return entry['data'].squeeze().cpu().numpy().astype(np.int64)


def _encode_map(labels: np.ndarray) -> bytes:
    scale = min(1.0, _SIDE / labels.shape[1])
    size = (max(1, round(labels.shape[1] * scale)), max(1, round(labels.shape[0] * scale)))
    small = cv2.resize(labels.astype(np.uint16), size, interpolation=cv2.INTER_NEAREST)
    return cv2.imencode('.png', small)[1].tobytes()


def _decode_map(data: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)


def segmentation_details(
    images: Sequence[ImageResult],
    per_class: Dict[str, Dict[str, Any]],
    meta: Dict[str, Any],
    with_examples: bool,
) -> EvaluationDetails:
    """Compute the details of an evaluation.

    Args:
        images: What the metric kept.
        per_class: The results of each class.
        meta: ``classes`` and ``palette`` of the dataset.
        with_examples: Whether to draw the best and the worst images.
    """
    names = list(meta['classes'])
    counts = np.zeros(len(names) ** 2, np.int64)
    for image in images:
        is_class = image.pairs < len(counts)  # other labels than those of classes and ignore_index
        counts[image.pairs[is_class]] += image.pixels[is_class]
    note = 'Pixels of all images. Colours are the part of the pixels of the true class.'
    return EvaluationDetails(
        title='segmentation',
        classes=per_class,
        confusion=Confusion.from_counts(names, counts.reshape(len(names), -1), note),
        examples=_draw_examples(images, meta) if with_examples else [],
        note='Sorted by the mean IoU of the classes in the image. Left: image. Middle: ground truth. '
        'Right: prediction.',
    )


def _draw_examples(images: Sequence[ImageResult], meta: Dict[str, Any]) -> List[Example]:
    """Draw the images with the highest and the lowest mIoU. If they cannot be drawn, a warning says why."""
    order = sorted((image for image in images if image.path and image.miou == image.miou), key=_miou)
    count = min(COUNT, len(order) // 2)
    groups = {'best': order[::-1][:count], 'worst': order[:count] or order}
    try:
        return [_draw(image, group, meta) for group, chosen in groups.items() for image in chosen]
    except (OSError, ValueError, AttributeError, cv2.error) as error:
        print_log(f'the report shows no images: {error}', 'current', logging.WARNING)
        return []


def _miou(image: ImageResult) -> float:
    return image.miou


def _draw(image: ImageResult, group: str, meta: Dict[str, Any]) -> Example:
    truth, predicted = (np.array(_decode_map(data), np.int64) for data in image.maps)
    pixels = mmcv.imfrombytes(get(image.path), channel_order='rgb')
    small = cv2.resize(pixels, truth.shape[::-1], interpolation=cv2.INTER_AREA)
    maps = {'ground truth': truth, 'prediction': predicted}
    drawing = side_by_side(small, maps, meta['classes'], meta['palette'])[..., ::-1]
    picture = ('', encode_picture(drawing, drawing.shape[1]))
    return Example(group, Path(image.path).name, f'mIoU {image.miou:.3f}', [picture])
