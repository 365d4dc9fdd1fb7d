"""Image classification with MMPretrain: what training and evaluation need to know about it."""

from typing import Any, Dict, Optional, Sequence

from mmengine.config import Config
from torch import nn

from ..apis.class_order import check_class_order
from ..apis.task import Task
from .accuracy import accuracy_table, add_class_accuracy, collect_accuracy, explain_chance, limit_topk
from .folder_checks import check_folders, dataset_classes


class ClassificationTask(Task):
    """Image classification with MMPretrain's ``ImageClassifier``."""

    def check_model(self, cfg: Config, model: Optional[nn.Module], mode: str) -> None:
        """Check that the classifier reads as many channels as the backbone has."""
        channels = getattr(getattr(model, 'backbone', None), 'out_channels', None)
        head = cfg.model.get('head') or {}
        needed = head.get('in_channels') if isinstance(head, dict) else None
        if isinstance(channels, tuple) and needed is not None and channels[-1] != needed:
            raise ValueError(
                f'the backbone has {channels[-1]} channels, but model.head.in_channels is {needed}. Use\n'
                f'    --cfg-options model.head.in_channels={channels[-1]}'
            )

    def check_data(self, cfg: Config, splits: Sequence[str], model: Optional[nn.Module]) -> None:
        """Check folders, classes and a sample of the images."""
        check_folders(cfg, splits)

    def check_checkpoint(self, cfg: Config, split: str, meta: Any, path: object) -> None:
        """Check the order of the classes, which usually are folders."""
        check_class_order(cfg, split, meta, path, dataset_classes(cfg, split))

    def prepare_validation(self, cfg: Config) -> None:
        """Leave out top-5 where there are fewer than five classes."""
        if cfg.get('val_evaluator'):
            cfg.val_evaluator = limit_topk(cfg.val_evaluator, _num_classes(cfg))

    def prepare_metrics(self, cfg: Config, classwise: bool, out: Optional[str]) -> None:
        """Leave out top-5 where there are fewer than five classes; add per-class accuracy and predictions."""
        metrics = limit_topk(cfg.test_evaluator, _num_classes(cfg))
        cfg.test_evaluator = add_class_accuracy(metrics) if classwise else metrics
        super().prepare_metrics(cfg, classwise, out)

    def add_details(self, cfg: Config) -> None:
        """Add the metric with the confusion matrix and the most certain mistakes."""
        for name in ('val_evaluator', 'test_evaluator'):
            evaluator = cfg.get(name)
            if evaluator and not (isinstance(evaluator, dict) and 'metrics' in evaluator):
                metrics = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
                cfg[name] = [*metrics, dict(type='mmpretrain.ClassificationDetails')]

    def enable_visualization(self, cfg: Config, folder: str) -> None:
        """Draw ground truth and prediction into every test image."""
        hook = dict(type='mmpretrain.ClassificationVisualizationHook', out_dir=folder)
        cfg.setdefault('default_hooks', {})['visualization'] = hook
        cfg.setdefault('visualizer', dict(type='mmpretrain.UniversalVisualizer', name='visualizer'))

    def collect(self, cfg: Config, metrics: Dict[str, Any]) -> Dict[str, Any]:
        """Group the results, see ``collect_accuracy``."""
        classes = [names for _, names in dataset_classes(cfg, 'test')]
        return collect_accuracy(metrics, classes[0] if classes else ())

    def table(self, results: Dict[str, Any]) -> str:
        """Format the accuracies in percent."""
        return accuracy_table(results)

    def explain(
        self, cfg: Config, results: Dict[str, Any], images: int, detections: Optional[int], trained_iters: Any
    ) -> str:
        """Explain a result at the level of guessing."""
        return explain_chance(results, images, _num_classes(cfg), trained_iters)


def _num_classes(cfg: Config) -> Optional[int]:
    head = cfg.model.get('head') or {}
    return head.get('num_classes') if isinstance(head, dict) else None
