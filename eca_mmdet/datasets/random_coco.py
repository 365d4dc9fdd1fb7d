"""Random COCO ground truth, and detections made from it with noise: food for evaluation, no images."""

from typing import Any, Dict, List, Tuple

import numpy as np
from pycocotools import mask as mask_tools

HEIGHT, WIDTH = 480, 640
CROWD_SHARE, EMPTY_SHARE = 0.012, 0.01
"""Of COCO 2017 val: 446 of 36,781 annotations are crowds, 48 of 5,000 images have none."""


def random_coco(
    images: int, classes: int = 80, per_image: float = 7.4, detections: float = 4.0, seed: int = 0
) -> Tuple[Dict[str, Any], List[Dict[str, Any]]]:
    """Draw blobs as ground truth, and a detector's answer to them.

    Detections are the objects moved and scaled, some with another class, and objects of other
    images (false positives). Scores are rounded, so that many are equal.

    Args:
        images: Number of images, of 480 x 640 pixels.
        classes: Number of classes, the first ones more frequent.
        per_image: Mean number of annotations of an image, crowds among them; some have none.
        detections: Detections for each annotation, half of them near it; an image that has no
            annotation gets ``detections`` false positives.
        seed: Of the random numbers.

    Returns:
        - The ground truth in COCO's layout; crowds are uncompressed RLE, all others polygons.
        - A prediction an image as mmdet's ``CocoMetric`` keeps them: ``img_id``, ``bboxes``
          ``(N, 4)`` in xyxy, ``scores`` and ``labels`` ``(N,)``, and N RLE ``masks``.
    """
    rng = np.random.default_rng(seed)
    truth = dict(
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
    everything = [blob for of_image in blobs for blob in of_image]
    predictions = []
    for image, of_image in zip(truth['images'], blobs):
        near = [of_image[i % len(of_image)] for i in range(int(len(of_image) * detections / 2))]
        wrong = rng.integers(len(everything), size=int(max(1, len(of_image)) * detections / 2))
        far = [everything[i] for i in wrong]
        found = [(_moved(polygon, rng), label, 0.4) for polygon, label in near]
        found += [(polygon, label, 0.0) for polygon, label in far]
        predictions.append(_prediction(image['id'], found, classes, rng))
    return truth, predictions


def _blob(rng: np.random.Generator) -> np.ndarray:
    """A polygon ``(P, 2)`` around a random centre, between 6 and 400 pixels across."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(12, 40)))
    half = np.exp(rng.uniform(np.log(3), np.log(200))) * rng.uniform(0.5, 1, 2)
    centre = rng.uniform(0, 1, 2) * (WIDTH, HEIGHT)
    ring = np.stack([np.cos(angles), np.sin(angles)], 1) * rng.uniform(0.7, 1, (len(angles), 1))
    return _inside(centre + ring * half)


def _inside(polygon: np.ndarray) -> np.ndarray:
    return np.clip(polygon, 0, (WIDTH, HEIGHT)).round(2)


def _moved(polygon: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    centre, size = polygon.mean(0), np.ptp(polygon, 0)
    moved = centre + rng.normal(0, 0.05, 2) * size
    return _inside((polygon - centre) * np.exp(rng.normal(0, 0.08, 2)) + moved)


def _rle(polygon: np.ndarray) -> Dict[str, Any]:
    return mask_tools.frPyObjects([polygon.ravel().tolist()], HEIGHT, WIDTH)[0]


def _annotation(polygon: np.ndarray, crowd: bool) -> Dict[str, Any]:
    rle = _rle(polygon)
    segmentation: Any = [polygon.ravel().tolist()]
    if crowd:
        pixels = mask_tools.decode(rle).ravel(order='F')
        changes = np.flatnonzero(np.diff(pixels, prepend=0))  # a run of zeros comes first
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
