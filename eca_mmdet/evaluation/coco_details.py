"""Details of a COCO evaluation for the report: precision curves, confusion matrix, best and worst images."""

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Sequence, Tuple

import numpy as np
from mmdet.datasets.api_wrappers import COCO, COCOeval
from pycocotools import mask as rle

from ..report import Confusion, Curves, EvaluationDetails
from .object_examples import DetectedImage, draw_examples
from .object_matching import NOTHING, match_objects
from .per_class import class_stats, unique_category_names

IOU, SCORE = 0.5, 0.3
"""Where detections are counted: lowest IoU with an object, lowest score."""
BACKGROUND = 'background'
_COLUMNS = ('AP', 'AP50', 'AP75', 'APs', 'APm', 'APl')


@dataclass
class CocoResults:
    """What a metric keeps of an evaluation to compute the details from.

    Args:
        evaluation: The evaluation, accumulated.
        truth: The annotations.
        predictions: The predictions of ``CocoMetric``, with ``img_path`` if it is known.
        category_ids: The category id of each label.
        ignored_ids: Ids of annotations that are ignored.
        kind: ``'bbox'`` or ``'segm'``.
    """

    evaluation: COCOeval
    truth: COCO
    predictions: Sequence[Dict[str, Any]]
    category_ids: List[Any]
    ignored_ids: set
    kind: str


def coco_details(results: CocoResults, with_examples: bool) -> EvaluationDetails:
    """Compute the details of an evaluation.

    Args:
        results: What the metric kept.
        with_examples: Whether to draw the best and the worst images.
    """
    names = unique_category_names(results.truth.load_cats(results.category_ids))
    counts = np.zeros((len(names) + 1, len(names) + 1), int)
    images = list(_matched_images(results))
    for image in images:
        _count(counts, image)
    note = f'{results.kind}: detections with a score of at least {SCORE}, matched at IoU {IOU}.'
    return EvaluationDetails(
        title=results.kind,
        classes=_class_values(results, names, counts),
        curves=precision_curves(results.evaluation, results.category_ids, names),
        confusion=Confusion.from_counts(
            [*names, BACKGROUND],
            counts,
            f'{note} Row {BACKGROUND}: detections of nothing. Column {BACKGROUND}: missed objects.',
            has_background=True,
        ),
        examples=draw_examples(images, names) if with_examples else [],
        note=f'Sorted by F1. {note} Green: correct. Orange: found, but of another class. '
        'Red: a missed object (left) or a detection of nothing (right). Grey: ignored.',
    )


def precision_curves(evaluation: COCOeval, category_ids: Sequence[Any], names: Sequence[str]) -> Curves:
    """Read precision over recall from an evaluation.

    Returns:
        The curves at IoU 0.50 and 0.75, where the evaluation has them, and the mean over its thresholds.
    """
    params = evaluation.params
    numbers = list(params.maxDets)
    precision = np.asarray(evaluation.eval['precision'])[:, :, :, 0]  # (T, R, K, M)
    precision = np.where(precision < 0, np.nan, precision)
    # As in COCO's summary, AP is that of 100 detections per image, and AP50 and AP75 that of the most.
    every, precision = precision[..., numbers.index(100) if 100 in numbers else -1], precision[..., -1]
    thresholds = [round(float(value), 2) for value in params.iouThrs]
    order = [list(params.catIds).index(key) for key in category_ids]
    chosen = [value for value in (0.5, 0.75) if value in thresholds] or thresholds[:1]
    by_class = precision[thresholds.index(chosen[0])][:, order]
    mean = {f'{value:.2f}': _class_mean(precision[thresholds.index(value)]) for value in chosen}
    if len(thresholds) > 1:
        mean[f'{thresholds[0]:.2f}:{thresholds[-1]:.2f}'] = _class_mean(every.mean(axis=0))
    return Curves(
        recall=[round(float(value), 2) for value in params.recThrs],
        mean={name: _rounded(values) for name, values in mean.items()},
        classes={name: _rounded(by_class[:, index]) for index, name in enumerate(names)},
        iou=f'{chosen[0]:.2f}',
    )


def _class_mean(values: np.ndarray) -> np.ndarray:
    """Return the mean over the classes that have objects."""
    measured = values[:, ~np.isnan(values).any(axis=0)]
    return measured.mean(axis=1) if measured.size else np.full(len(values), np.nan)


def _rounded(values: np.ndarray) -> List[Any]:
    return [None if np.isnan(value) else round(float(value), 4) for value in values]


def _class_values(
    results: CocoResults, names: Sequence[str], counts: np.ndarray
) -> Dict[str, Dict[str, Any]]:
    """AP of each class, its objects, and precision and recall at the score threshold."""
    found: Dict[str, Dict[str, Any]] = {}
    for index, (name, key) in enumerate(zip(names, results.category_ids)):
        row: Dict[str, Any] = dict(zip(_COLUMNS, _rounded(class_stats(results.evaluation, key)[:6])))
        correct, detected, objects = counts[index, index], counts[:, index].sum(), counts[index].sum()
        row['precision'] = round(float(correct / detected), 4) if detected else None
        row['recall'] = round(float(correct / objects), 4) if objects else None
        found[name] = {**row, 'objects': int(objects)}
    return found


def _matched_images(results: CocoResults) -> Iterator[DetectedImage]:
    """Match detections and objects of every image."""
    label_of = {key: label for label, key in enumerate(results.category_ids)}
    for prediction in results.predictions:
        scores = prediction.get('mask_scores', prediction['scores'])
        scores = scores if results.kind == 'segm' else prediction['scores']
        kept = np.argsort(-scores, kind='stable')
        kept = kept[scores[kept] >= SCORE]
        annotations = [
            annotation
            for annotation in results.truth.load_anns(
                results.truth.get_ann_ids(img_ids=[prediction['img_id']])
            )
            if annotation['category_id'] in label_of
        ]
        is_crowd = np.array([item['id'] in results.ignored_ids for item in annotations], bool)
        labels = np.array([label_of[item['category_id']] for item in annotations], int)
        boxes = prediction['bboxes'][kept].astype(float).reshape(-1, 4)
        masks = [prediction['masks'][index] for index in kept] if 'masks' in prediction else None
        shapes, truths = _shapes(results, annotations, boxes, masks)
        ious = np.zeros((len(kept), len(annotations)))
        if len(kept) and len(annotations):
            ious = rle.iou(shapes, truths, is_crowd.astype(np.uint8).tolist())
        detected = prediction['labels'][kept]
        yield DetectedImage(
            path=str(prediction.get('img_path') or ''),
            name=str(results.truth.imgs[prediction['img_id']].get('file_name', prediction['img_id'])),
            match=match_objects(np.asarray(ious), detected, labels, is_crowd, IOU),
            detected=detected,
            labels=labels,
            boxes=boxes,
            masks=masks,
            annotations=annotations,
            to_rle=results.truth.annToRLE,
        )


def _shapes(
    results: CocoResults, annotations: Sequence[dict], boxes: np.ndarray, masks: Any
) -> Tuple[Any, Any]:
    """Return the boxes (xywh) or the masks (RLE) of detections and objects."""
    if results.kind == 'segm':
        return masks, [results.truth.annToRLE(item) for item in annotations]
    sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    return sizes, np.array([item['bbox'] for item in annotations], float).reshape(-1, 4)


def _count(counts: np.ndarray, image: DetectedImage) -> None:
    """Add the detections and missed objects of an image to a confusion matrix."""
    match, last = image.match, len(counts) - 1
    for label, truth in zip(image.detected, match.truth):
        if truth >= 0:
            counts[image.labels[truth], label] += 1
        elif truth == NOTHING:
            counts[last, label] += 1
    seen = np.zeros(len(image.labels), bool)
    seen[match.truth[match.truth >= 0]] = True
    for label in image.labels[~seen & ~match.is_crowd]:
        counts[label, last] += 1
