"""Details of a classification for the report: results of classes, confusion matrix, most certain mistakes."""

import logging
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence

import cv2
import mmcv
import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.fileio import get
from mmengine.logging import print_log
from mmpretrain.registry import METRICS

from ..report import Confusion, EvaluationDetails, Example, encode_picture

COUNT = 12
_WIDTH = 240
_COLUMNS = ('accuracy', 'precision')


class _Prediction(NamedTuple):
    path: str
    truth: int
    predicted: int
    score: float


@METRICS.register_module()
class ClassificationDetails(BaseMetric):
    """Store the prediction of every image for the report. The metric itself returns no values.

    Images with several labels are left out.
    """

    keep_details = False
    """Whether to keep the predictions. ``ReportHook`` sets it."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._kept: List[_Prediction] = []

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Keep label, prediction and score of a batch."""
        for sample in data_samples if self.keep_details else ():
            labels, scores = sample['gt_label'], sample.get('pred_score')
            if scores is not None and labels.numel() == 1:
                best = int(scores.argmax())
                path = str(sample.get('img_path') or '')
                self.results.append(_Prediction(path, int(labels), best, float(scores[best])))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Keep the predictions of all processes."""
        self._kept = [_Prediction(*result) for result in results]
        return {}

    def evaluation_details(self, with_examples: bool = True) -> List[EvaluationDetails]:
        """Compute the details of the last evaluation. Empty without ``keep_details``."""
        kept, self._kept = self._kept, []
        names = list((self.dataset_meta or {}).get('classes') or ())
        return [classification_details(kept, names, with_examples)] if kept else []


def classification_details(
    predictions: Sequence[_Prediction], names: Sequence[str], with_examples: bool
) -> EvaluationDetails:
    """Compute the details of an evaluation. Classes without a name get their number."""
    count = 1 + max(max(item.truth, item.predicted) for item in predictions)
    names = [*names, *map(str, range(len(names), count))]
    counts = np.zeros((len(names), len(names)), int)
    for item in predictions:
        counts[item.truth, item.predicted] += 1
    return EvaluationDetails(
        title='classification',
        classes={name: _class_values(counts, index) for index, name in enumerate(names)},
        confusion=Confusion.from_counts(names, counts, 'Images. Rows are the true class.'),
        examples=_draw_mistakes(predictions, names) if with_examples else [],
        note='Wrong predictions with the highest scores.',
    )


def _class_values(counts: np.ndarray, index: int) -> Dict[str, Any]:
    """Accuracy (recall) and precision of a class in percent, and its number of images."""
    correct, totals = counts[index, index], (counts[index].sum(), counts[:, index].sum())
    values = {
        name: round(100 * float(correct / total), 2) if total else None
        for name, total in zip(_COLUMNS, totals)
    }
    return {**values, 'images': int(totals[0])}


def _draw_mistakes(predictions: Sequence[_Prediction], names: Sequence[str]) -> List[Example]:
    """Show the most certain mistakes. If an image cannot be read, a warning says why."""
    mistakes = [item for item in predictions if item.truth != item.predicted and item.path]
    examples = []
    try:
        for item in sorted(mistakes, key=lambda item: -item.score)[:COUNT]:
            picture = encode_picture(mmcv.imfrombytes(get(item.path)), _WIDTH)
            caption = f'is {names[item.truth]}, predicted {names[item.predicted]} with {item.score:.2f}'
            examples.append(
                Example('most certain mistakes', Path(item.path).name, caption, [('image', picture)])
            )
    except (OSError, ValueError, AttributeError, cv2.error) as error:
        print_log(f'the report shows no images: {error}', 'current', logging.WARNING)
    return examples
