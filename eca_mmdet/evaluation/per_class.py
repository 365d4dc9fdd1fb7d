"""AP of each class from one COCO evaluation."""

import contextlib
import copy
import io
from collections import Counter
from typing import Any, Dict, List

import numpy as np
from mmdet.datasets.api_wrappers import COCOeval
from terminaltables import AsciiTable


def class_stats(evaluation: COCOeval, category_id: Any) -> np.ndarray:
    """COCO's 12 numbers ``(12,)`` of one class, as if it were the only one; NaN where it has no objects.

    Args:
        evaluation: After ``accumulate``. Its arrays are in the order of ``evaluation.params.catIds``, which
            pycocotools has sorted.
        category_id: Id of the class in the annotation file.
    """
    index = [list(evaluation.params.catIds).index(category_id)]
    alone = copy.copy(evaluation)
    precision, recall = evaluation.eval['precision'], evaluation.eval['recall']
    alone.eval = {**evaluation.eval, 'precision': precision[:, :, index], 'recall': recall[:, index]}
    with contextlib.redirect_stdout(io.StringIO()):
        alone.summarize()
    return np.where(alone.stats < 0, np.nan, alone.stats)


def unique_names(categories: List[dict]) -> List[str]:
    """Names of categories; those that share a name get their id behind it."""
    count = Counter(category['name'] for category in categories)
    return [
        category['name'] if count[category['name']] == 1 else f'{category["name"]} (id {category["id"]})'
        for category in categories
    ]


def class_table(rows: Dict[str, np.ndarray]) -> str:
    """The six AP of each class as a table of text."""
    head = ['category', 'mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l']
    return AsciiTable([head, *([name, *(f'{ap:.3f}' for ap in row)] for name, row in rows.items())]).table
