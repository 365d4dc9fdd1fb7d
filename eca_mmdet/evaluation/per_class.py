"""Per-class AP from a single COCO evaluation."""

import contextlib
import copy
import io
from collections import Counter
from typing import Any, Dict, List

import numpy as np
from mmdet.datasets.api_wrappers import COCOeval
from terminaltables import AsciiTable


def class_stats(evaluation: COCOeval, category_id: Any) -> np.ndarray:
    """Compute COCO's 12 summary numbers for one class.

    Args:
        evaluation: An evaluation on which ``accumulate`` has been called. Its arrays are ordered by
            ``evaluation.params.catIds``, which pycocotools sorts.
        category_id: Id of the class in the annotation file.

    Returns:
        Array of shape ``(12,)``, with NaN where the class has no objects.
    """
    index = [list(evaluation.params.catIds).index(category_id)]
    single_class = copy.copy(evaluation)
    precision, recall = evaluation.eval['precision'], evaluation.eval['recall']
    single_class.eval = {**evaluation.eval, 'precision': precision[:, :, index], 'recall': recall[:, index]}
    with contextlib.redirect_stdout(io.StringIO()):
        single_class.summarize()
    return np.where(single_class.stats < 0, np.nan, single_class.stats)


def unique_category_names(categories: List[dict]) -> List[str]:
    """Return the category names, with the id appended where several categories share a name."""
    count = Counter(category['name'] for category in categories)
    return [
        category['name'] if count[category['name']] == 1 else f'{category["name"]} (id {category["id"]})'
        for category in categories
    ]


def class_table(rows: Dict[str, np.ndarray]) -> str:
    """Format the six AP values of each class as a text table."""
    head = ['category', 'mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l']
    return AsciiTable([head, *([name, *(f'{ap:.3f}' for ap in row)] for name, row in rows.items())]).table
