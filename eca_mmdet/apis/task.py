"""What training and evaluation need to know about a task: detection, segmentation or classification.

``tools/train.py`` and ``tools/test.py`` are the same for every task. They call the methods of a ``Task``,
which is chosen by the host library of the config.
"""

from importlib import import_module
from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import nn

from ..hosts import host_of, require_host
from .class_order import check_class_order

TASKS = {
    'mmdet': ('eca_mmdet.apis.detection', 'DetectionTask'),
    'mmseg': ('eca_mmdet.segmentation.task', 'SegmentationTask'),
    'mmpretrain': ('eca_mmdet.classification.task', 'ClassificationTask'),
}
"""Module and class of the task of each host library. They are imported when a run needs them."""


class SampleCount(Hook):
    """Count the images of an evaluation, and the detections in them.

    Attributes:
        images: Number of images.
        detections: Number of detections.
        uncounted: Number of images whose results are not detections.
    """

    images = detections = uncounted = 0

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Count the results of a batch."""
        for sample in outputs:
            found = sample.get('pred_instances') if hasattr(sample, 'get') else None
            self.images += 1
            self.detections += 0 if found is None else len(found)
            self.uncounted += found is None


class Task:
    """The task of a config. The methods of this class do nothing special."""

    def check_model(self, cfg: Config, model: Optional[nn.Module], mode: str) -> None:
        """Check the settings of a model.

        Args:
            cfg: The config of the run.
            model: The model on the meta device, or ``None`` if it was not built.
            mode: ``'train'`` or ``'test'``.

        Raises:
            ValueError: If the run would fail later.
        """

    def check_metric(self, cls: Any, settings: dict) -> None:
        """Check the settings of a metric, for example by building it; raise any error."""

    def check_data(self, cfg: Config, splits: Sequence[str], model: Optional[nn.Module]) -> None:
        """Check the datasets of the splits ``'train'``, ``'val'`` and ``'test'``.

        Raises:
            FileNotFoundError: If a file or folder is missing.
            ValueError: If the data does not match the config.
        """

    def check_checkpoint(self, cfg: Config, split: str, meta: Any, path: object) -> None:
        """Check that a checkpoint and the datasets of a split have the same classes.

        Args:
            cfg: The config of the run.
            split: ``'train'`` or ``'test'``.
            meta: The metadata of the checkpoint.
            path: The checkpoint, for messages.

        Raises:
            ValueError: If predictions would get wrong names.
        """
        check_class_order(cfg, split, meta, path)

    def prepare_validation(self, cfg: Config) -> None:
        """Change ``val_evaluator`` of a training."""

    def prepare_metrics(self, cfg: Config, classwise: bool, out: Optional[str]) -> None:
        """Change ``test_evaluator`` for ``tools/test.py``.

        Args:
            cfg: The config of the run.
            classwise: Whether to report the results of each class.
            out: File for all predictions, or ``None``.

        Raises:
            ValueError: If an option does not fit the evaluator.
        """
        evaluator = cfg.test_evaluator
        if out:
            metrics = list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]
            cfg.test_evaluator = [dict(type='mmengine.DumpResults', out_file_path=out), *metrics]

    def add_details(self, cfg: Config) -> None:
        """Add metrics that give details to the report, where those of the config cannot."""

    def enable_visualization(self, cfg: Config, folder: str) -> None:
        """Add the hook that draws ground truth and predictions of test images into ``folder``."""

    def collect(self, cfg: Config, metrics: Dict[str, Any]) -> Dict[str, Any]:
        """Group the results of ``Runner.test`` for JSON."""
        return metrics

    def table(self, results: Dict[str, Any]) -> str:
        """Format the results as text."""
        return '\n'.join(f'{name}: {value}' for name, value in results.items())

    def explain(
        self, cfg: Config, results: Dict[str, Any], images: int, detections: Optional[int], trained_iters: Any
    ) -> str:
        """Explain an empty result, or return an empty string.

        Args:
            cfg: The config of the run.
            results: The results of ``collect``.
            images: Number of evaluated images.
            detections: Number of detections in them, ``None`` for other predictions.
            trained_iters: Number of training iterations of the checkpoint, if known.
        """
        return ''

    def result_files(self, cfg: Config) -> List[str]:
        """List the files that metrics wrote without evaluating them."""
        return []


def task_of(cfg: Config) -> Task:
    """Return the task of a config.

    Raises:
        HostError: If the host library of the config is missing or broken.
    """
    host = host_of(cfg)
    require_host(host)
    module, name = TASKS[host.scope]
    return getattr(import_module(module), name)()
