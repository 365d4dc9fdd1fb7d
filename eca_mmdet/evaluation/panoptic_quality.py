"""Panoptic quality (arXiv 1801.00868, section 4.2).

Void pixels and crowd regions are treated as in COCO's ``panopticapi``.
"""

from typing import Any, Dict, Mapping, Optional, Sequence, Tuple

import numpy as np

from ..panoptic_png import VOID

MATCHED_IOU, TP, FP, FN = range(4)
"""Columns of ``count_segments``."""


def count_segments(
    truth: np.ndarray,
    segments: Sequence[Mapping[str, Any]],
    predicted: np.ndarray,
    predicted_labels: Mapping[int, int],
    label_of: Mapping[Any, int],
) -> np.ndarray:
    """Match the segments of an image, and count matches and errors for each label.

    A predicted and a true segment of the same label match if their IoU exceeds 0.5. Void pixels do not count
    for the union. A predicted segment that lies mostly on void or on a crowd region of its label is ignored.

    Args:
        truth: The true segment id of each pixel, of shape ``(H, W)``; 0 is void.
        segments: ``segments_info`` of the image: ``id``, ``category_id``, ``area`` and ``iscrowd``.
        predicted: The predicted segment id of each pixel, of shape ``(H, W)``.
        predicted_labels: The label of each predicted segment. Other ids in ``predicted`` are unlabelled.
        label_of: The label of each category id.

    Returns:
        Sum of the IoU of all matches, number of matches, of unmatched predictions and of unmatched true
        segments, in the columns of an array of shape ``(labels, 4)``.
    """
    counts = np.zeros((len(label_of), 4))
    overlaps, areas = _overlaps(truth, predicted)
    true_segments = {segment['id']: segment for segment in segments}
    matched = set()
    for (true_id, predicted_id), overlap in overlaps.items():
        segment, label = true_segments.get(true_id), predicted_labels.get(predicted_id)
        if segment is None or segment['iscrowd'] or label != label_of[segment['category_id']]:
            continue
        void = overlaps.get((VOID, predicted_id), 0)
        iou = overlap / (areas[predicted_id] + segment['area'] - overlap - void)
        if iou > 0.5:
            counts[label, MATCHED_IOU] += iou
            counts[label, TP] += 1
            matched |= {('true', true_id), ('predicted', predicted_id)}
    crowds: Dict[int, int] = {}  # of several in one category, panopticapi uses the last
    for true_id, segment in true_segments.items():
        label = label_of[segment['category_id']]
        if segment['iscrowd']:
            crowds[label] = true_id
        elif ('true', true_id) not in matched:
            counts[label, FN] += 1
    for predicted_id, label in predicted_labels.items():
        if ('predicted', predicted_id) not in matched:
            ignored = overlaps.get((VOID, predicted_id), 0)
            if label in crowds:
                ignored += overlaps.get((crowds[label], predicted_id), 0)
            counts[label, FP] += ignored <= 0.5 * areas[predicted_id]
    return counts


def _overlaps(truth: np.ndarray, predicted: np.ndarray) -> Tuple[Dict[Tuple[int, int], int], Dict[int, int]]:
    """Count the pixels of each pair of true and predicted ids, and of each predicted id."""
    true_ids, true_index = np.unique(truth, return_inverse=True)
    predicted_ids, predicted_index = np.unique(predicted, return_inverse=True)
    pairs = true_index.ravel() * len(predicted_ids) + predicted_index.ravel()
    table = np.bincount(pairs, minlength=len(true_ids) * len(predicted_ids))
    table = table.reshape(len(true_ids), len(predicted_ids))
    overlaps = {
        (int(true_ids[row]), int(predicted_ids[column])): int(table[row, column])
        for row, column in np.argwhere(table)
    }
    return overlaps, dict(zip(predicted_ids.tolist(), table.sum(0).tolist()))


def class_qualities(counts: np.ndarray) -> np.ndarray:
    """Compute PQ, SQ and RQ of each label, of shape ``(labels, 3)``. NaN if no image has such a segment.

    Args:
        counts: The sum of ``count_segments`` over all images.
    """
    iou, tp, fp, fn = counts.T
    segments = tp + fp / 2 + fn / 2
    with np.errstate(invalid='ignore'):
        rq = tp / segments
        sq = np.where(tp > 0, iou / np.maximum(tp, 1), np.where(segments > 0, 0, np.nan))
        return np.stack([iou / segments, sq, rq], axis=1)


def mean_quality(qualities: np.ndarray, is_used: Optional[np.ndarray] = None) -> np.ndarray:
    """Average ``class_qualities`` over the labels with segments. NaN if there are none.

    Args:
        qualities: PQ, SQ and RQ of each label.
        is_used: Which labels to average, by default all.
    """
    rows = qualities if is_used is None else qualities[is_used]
    rows = rows[~np.isnan(rows[:, 0])]
    return rows.mean(0) if len(rows) else np.full(qualities.shape[1], np.nan)
