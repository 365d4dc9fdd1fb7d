"""Semantic segmentation with mmseg: what training and evaluation need to know about it."""

from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import Config
from mmengine.logging import MessageHub
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from torch import nn

from ..apis.task import Task
from ..results_file import plain
from .mask_dataset_checks import check_mask_datasets
from .segmentation_metric import PER_CLASS, SegmentationMetric
from .segmentation_results import explain_poor, segmentation_table
from .segmentor_checks import check_input_size, check_pooled_heads


class SegmentationTask(Task):
    """Semantic segmentation with mmseg."""

    def check_model(self, cfg: Config, model: Optional[nn.Module], mode: str) -> None:
        """Check the size of the inputs, and heads that cannot train on a single image."""
        if mode == 'train':
            check_input_size(cfg)
            check_pooled_heads(cfg, model)

    def check_metric(self, cls: Any, settings: dict) -> None:
        """Check the names of the metrics of ``IoUMetric``, which mmseg reads at the end of an evaluation."""
        if isinstance(cls, type) and issubclass(cls, IoUMetric):
            names = settings.get('iou_metrics', ['mIoU'])
            unknown = {names} - _IOU_METRICS if isinstance(names, str) else set(names) - _IOU_METRICS
            if unknown:
                raise ValueError(f'iou_metrics has {sorted(unknown)}; allowed are {sorted(_IOU_METRICS)}')

    def check_data(self, cfg: Config, splits: Sequence[str], model: Optional[nn.Module]) -> None:
        """Check folders, pairs of image and mask, label values, classes and heads."""
        check_mask_datasets(cfg, splits, model)

    def prepare_validation(self, cfg: Config) -> None:
        """Use the same metric as ``tools/test.py``."""
        if cfg.get('val_evaluator'):
            cfg.val_evaluator = _with_classes(cfg.val_evaluator)

    def prepare_metrics(self, cfg: Config, classwise: bool, out: Optional[str]) -> None:
        """Keep the results of each class, and add a metric that writes all predictions.

        The results of each class are always reported.
        """
        cfg.test_evaluator = _with_classes(cfg.test_evaluator, log_classes=False)
        if out:
            cfg.test_evaluator.insert(0, dict(type='mmseg.DumpSegmentation', out_file_path=out))

    def enable_visualization(self, cfg: Config, folder: str) -> None:
        """Draw image, ground truth and prediction of every test image."""
        loader = (cfg.test_dataloader.dataset.get('pipeline') or [{}])[0]
        hook = dict(type='mmseg.SideBySideHook', test_out_dir=folder)
        if loader.get('backend_args'):
            hook['backend_args'] = loader['backend_args']
        cfg.setdefault('default_hooks', {})['visualization'] = hook

    def collect(self, cfg: Config, metrics: Dict[str, Any]) -> Dict[str, Any]:
        """Add the results of each class under ``classes``."""
        results = plain(dict(metrics))
        per_class = MessageHub.get_current_instance().runtime_info.get(PER_CLASS)
        return {**results, 'classes': per_class} if results and per_class else results

    def table(self, results: Dict[str, Any]) -> str:
        """Format the results of all classes and their means as one table."""
        return segmentation_table(results)

    def explain(
        self, cfg: Config, results: Dict[str, Any], images: int, detections: Optional[int], trained_iters: Any
    ) -> str:
        """Explain a result in which at most one class is found."""
        return explain_poor(results, images, trained_iters)


_IOU_METRICS = {'mIoU', 'mDice', 'mFscore'}


def _with_classes(evaluator: Any, **options: Any) -> List[Any]:
    """Replace mmseg's ``IoUMetric`` by ``SegmentationMetric``, which keeps the results of each class."""
    metrics = []
    for metric in evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]:
        cls = metric.get('type') if isinstance(metric, dict) else None
        cls = METRICS.get(cls) if isinstance(cls, str) else cls
        if cls in (IoUMetric, SegmentationMetric):
            metric = {**metric, 'type': 'mmseg.SegmentationMetric', **options}
        metrics.append(metric)
    return metrics
