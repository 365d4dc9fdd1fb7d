"""Generate random COCO ground truth and detections for evaluations, without images."""

from typing import Any, Dict, List, Tuple

import numpy as np
from pycocotools import mask as mask_tools

HEIGHT, WIDTH = 480, 640
CROWD_SHARE, EMPTY_SHARE = 0.012, 0.01
"""As in COCO 2017 val: 446 of 36,781 annotations are crowds, and 48 of 5,000 images are empty."""


def random_coco(
    images: int, classes: int = 80, per_image: float = 7.4, detections: float = 4.0, seed: int = 0
) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """Draw random blobs as ground truth, and noisy detections of them.

    Detections are shifted and scaled objects, some with a wrong class, and objects of other images as false
    positives. Scores are rounded, so that many are equal.

    Args:
        images: Number of images, each of 480 x 640 pixels.
        classes: Number of classes. Classes with a lower index are more frequent.
        per_image: Mean number of annotations per image, including crowds. Some images have none.
        detections: Number of detections per annotation. Half of them are near the annotation. An image
            without annotations gets ``detections / 2`` false positives.
        seed: Random seed.

    Returns:
        - The ground truth in COCO format. Crowds are uncompressed RLE, all other objects are polygons.
        - One prediction per image, as mmdet's ``CocoMetric`` stores it: ``img_id``, ``bboxes`` of shape
          ``(N, 4)`` in xyxy format, ``scores`` and ``labels`` of shape ``(N,)``, and N RLE ``masks``.
    """
    rng = np.random.default_rng(seed)
    truth: Dict[str, Any] = dict(
        images=[dict(id=7 * i + 1, height=HEIGHT, width=WIDTH, file_name='') for i in range(images)],
        categories=[dict(id=2 * c + 1, name=f'class{c}') for c in range(classes)],
        annotations=[],
    )
    blobs: List[List[Tuple[np.ndarray, int]]] = []
    for image in truth['images']:
        count = 0 if rng.random() < EMPTY_SHARE else max(1, rng.poisson(per_image))
        labels = np.minimum(rng.geometric(min(1, 4 / classes), count) - 1, classes - 1)
        blobs.append([(_blob(rng), int(label)) for label in labels])
        for polygon, label in blobs[-1]:
            annotation = _annotation(polygon, crowd=rng.random() < CROWD_SHARE)
            truth['annotations'].append(
                dict(
                    id=len(truth['annotations']) + 1,
                    image_id=image['id'],
                    category_id=truth['categories'][label]['id'],
                    **annotation,
                )
            )
    all_blobs = [blob for image_blobs in blobs for blob in image_blobs]
    predictions = []
    for image, image_blobs in zip(truth['images'], blobs):
        near = [image_blobs[i % len(image_blobs)] for i in range(int(len(image_blobs) * detections / 2))]
        indices = rng.integers(len(all_blobs), size=int(max(1, len(image_blobs)) * detections / 2))
        found = [(_shift(polygon, rng), label, 0.4) for polygon, label in near]
        found += [(*all_blobs[i], 0.0) for i in indices]
        predictions.append(_prediction(image['id'], found, classes, rng))
    return truth, predictions


def _blob(rng: np.random.Generator) -> np.ndarray:
    """Draw a polygon ``(P, 2)`` of 6 to 400 pixels in size around a random centre."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(12, 40)))
    half = np.exp(rng.uniform(np.log(3), np.log(200))) * rng.uniform(0.5, 1, 2)
    centre = rng.uniform(0, 1, 2) * (WIDTH, HEIGHT)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.7, 1, (len(angles), 1))
    return _clip(centre + ring * half)


def _clip(polygon: np.ndarray) -> np.ndarray:
    return np.clip(polygon, 0, (WIDTH, HEIGHT)).round(2)


def _shift(polygon: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    centre, size = polygon.mean(0), np.ptp(polygon, 0)
    new_centre = centre + rng.normal(0, 0.05, 2) * size
    return _clip((polygon - centre) * np.exp(rng.normal(0, 0.08, 2)) + new_centre)


def _rle(polygon: np.ndarray) -> Dict[str, Any]:
    return mask_tools.frPyObjects([polygon.ravel().tolist()], HEIGHT, WIDTH)[0]


def _annotation(polygon: np.ndarray, crowd: bool) -> Dict[str, Any]:
    rle = _rle(polygon)
    segmentation: Any = [polygon.ravel().tolist()]
    if crowd:
        pixels = mask_tools.decode(rle).ravel(order='F')
        changes = np.flatnonzero(np.diff(pixels, prepend=0))  # the first run counts zeros
        counts = np.diff(changes, prepend=0, append=len(pixels)).tolist()
        segmentation = dict(size=[HEIGHT, WIDTH], counts=counts)
    low, high = polygon.min(0), polygon.max(0)
    return dict(
        bbox=[*low.tolist(), *(high - low).round(2).tolist()],
        area=float(mask_tools.area(rle)),
        iscrowd=int(crowd),
        segmentation=segmentation,
    )


def _prediction(image_id: int, found: list, classes: int, rng: np.random.Generator) -> Dict[str, Any]:
    boxes = [[*polygon.min(0), *polygon.max(0)] for polygon, _, _ in found]
    scores = [round(rng.beta(2, 3) * (1 - bonus) + bonus, 3) for _, _, bonus in found]
    labels = [label if rng.random() < 0.95 else rng.integers(classes) for _, label, _ in found]
    return dict(
        img_id=image_id,
        bboxes=np.array(boxes, np.float32).reshape(-1, 4),
        scores=np.array(scores, np.float32),
        labels=np.array(labels, np.int64),
        masks=[
            {**rle, 'counts': rle['counts'].decode()} for rle in (_rle(polygon) for polygon, _, _ in found)
        ],
    )
