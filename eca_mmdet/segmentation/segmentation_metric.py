"""Metrics of semantic segmentation: IoU and accuracy with the values of each class, and all predictions."""

from typing import Any, Dict, List, Sequence

import numpy as np
from mmengine.evaluator import DumpResults
from mmengine.logging import MessageHub, print_log
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS

from ..report import EvaluationDetails
from .segmentation_details import ImageResult, image_result, segmentation_details
from .segmentation_results import segmentation_table

PER_CLASS = 'eca_mmdet/per_class'
"""Name under which ``SegmentationMetric`` leaves the results of each class in mmengine's ``MessageHub``."""


@METRICS.register_module()
class SegmentationMetric(IoUMetric):
    """mmseg's ``IoUMetric`` with fractions between 0 and 1, as the AP of detection, instead of percent.

    The results of each class are in the ``MessageHub`` of the run, because 150 classes would fill the log
    line of each evaluation. Classes without pixels in ground truth and predictions have the value ``None``.

    Args:
        log_classes: Whether to log a table of all classes.
        **kwargs: Arguments of ``IoUMetric``.
    """

    keep_details = False
    """Whether to keep what ``evaluation_details`` needs. ``ReportHook`` sets it."""

    def __init__(self, log_classes: bool = True, **kwargs) -> None:
        super().__init__(**kwargs)
        self.log_classes = log_classes
        self._kept: List[ImageResult] = []

    def process(self, data_batch: dict, data_samples: Sequence[dict]) -> None:
        """Count the pixels of a batch, and keep small label maps for the report."""
        super().process(data_batch, data_samples)
        if self.keep_details and not self.format_only:
            start, count = len(self.results) - len(data_samples), len(self.dataset_meta['classes'])
            for index, sample in enumerate(data_samples, start):
                areas = self.results[index]
                self.results[index] = (*areas, image_result(sample, areas, count, self.ignore_index))

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Compute mIoU, mAcc, aAcc and those of the options, as mmseg does."""
        if self.format_only:
            return super().compute_metrics(results)
        areas = [sum(area.double() for area in column) for column in list(zip(*results))[:4]]
        self._kept = [result[4] for result in results if len(result) > 4]
        values = dict(self.total_area_to_metrics(*areas, self.metrics, self.nan_to_num, self.beta))
        all_pixels = float(values.pop('aAcc'))
        per_class = {
            name: {metric: _number(value[index]) for metric, value in values.items()}
            for index, name in enumerate(self.dataset_meta['classes'])
        }
        MessageHub.get_current_instance().update_info(PER_CLASS, per_class, resumed=False)
        metrics = {f'm{name}': float(np.nanmean(value)) for name, value in values.items()}
        metrics['aAcc'] = all_pixels
        if self.log_classes:
            print_log('\n' + segmentation_table({**metrics, 'classes': per_class}), 'current')
        return metrics

    def evaluation_details(self, with_examples: bool = True) -> List[EvaluationDetails]:
        """Compute the details of the last evaluation for the report. Empty without ``keep_details``."""
        kept, self._kept = self._kept, []
        per_class = MessageHub.get_current_instance().runtime_info.get(PER_CLASS) or {}
        return [segmentation_details(kept, per_class, self.dataset_meta, with_examples)] if kept else []


def _number(value: Any) -> Any:
    return None if np.isnan(value) else float(value)


@METRICS.register_module()
class DumpSegmentation(DumpResults):
    """Write the predicted label of every pixel to a pickle file, without mmseg's logits.

    The file holds a list of ``{'img_path': ..., 'pred_sem_seg': (H, W) array}``.
    """

    def process(self, data_batch: Any, predictions: Sequence[dict]) -> None:
        """Keep the labels of a batch in the smallest integer type."""
        for sample in predictions:
            labels = sample['pred_sem_seg']['data'].squeeze(0).cpu().numpy()
            small = labels.astype(np.uint8 if labels.max(initial=0) < 256 else np.int32)
            self.results.append(dict(img_path=sample.get('img_path'), pred_sem_seg=small))
