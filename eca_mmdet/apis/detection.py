"""Detection with mmdet: what training and evaluation need to know about it."""

from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from mmdet.engine.hooks import DetVisualizationHook
from mmdet.evaluation import CocoMetric
from mmdet.registry import HOOKS, METRICS
from mmengine.config import Config
from torch import nn

from ..datasets import load_panoptic  # noqa: F401  registers LoadPanoptic
from ..datasets.dataset_checks import check_datasets
from ..evaluation import (
    asked_for_ap,
    coco_kinds,
    collect_results,
    explain_empty,
    is_custom,
    is_empty,
    result_prefixes,
    results_table,
    split_by_type,
    use_fast_coco,
)
from ..visualization import unique_file_names  # noqa: F401  registers UniquePicturesHook
from .box_convention import check_box_convention
from .detector_checks import check_anchor_levels, check_train_cfg
from .task import Task


class DetectionTask(Task):
    """Detection, instance segmentation and panoptic segmentation with mmdet."""

    def check_model(self, cfg: Config, model: Optional[nn.Module], mode: str) -> None:
        """Check the levels of the anchors and ``train_cfg``."""
        check_anchor_levels(model)
        if mode == 'train':
            check_train_cfg(model)

    def check_metric(self, cls: Any, settings: dict) -> None:
        """Build a COCO metric without its annotation file."""
        if isinstance(cls, type) and issubclass(cls, CocoMetric):
            METRICS.build({**deepcopy(settings), 'ann_file': None})

    def check_data(self, cfg: Config, splits: Sequence[str], model: Optional[nn.Module]) -> None:
        """Check annotation files, images, classes and evaluators."""
        check_datasets(cfg, splits, model)

    def check_checkpoint(self, cfg: Config, split: str, meta: Any, path: object) -> None:
        """Check the order of the classes and the box convention."""
        super().check_checkpoint(cfg, split, meta, path)
        check_box_convention(cfg, meta, path)

    def prepare_validation(self, cfg: Config) -> None:
        """Use the same COCO metric as ``tools/test.py``."""
        if cfg.get('val_evaluator'):
            cfg.val_evaluator = use_fast_coco(cfg.val_evaluator)

    def prepare_metrics(self, cfg: Config, classwise: bool, out: Optional[str]) -> None:
        """Split COCO metrics by type, and add one that writes all predictions."""
        cfg.test_evaluator = split_by_type(cfg.test_evaluator, classwise)
        if not out:
            return
        if is_custom(cfg.test_evaluator):
            raise ValueError(
                f'--out {out}: the evaluator {cfg.test_evaluator["type"]} cannot write predictions. '
                'Remove the option, or name a .json file'
            )
        # Runs first, so that predictions are kept if a metric fails.
        cfg.test_evaluator.insert(0, dict(type='mmdet.DumpDetResults', out_file_path=out))

    def enable_visualization(self, cfg: Config, folder: str) -> None:
        """Enable the visualization hook. mmdet's hook is replaced by one with unique file names."""
        hooks = cfg.setdefault('default_hooks', {})
        hook = hooks.get('visualization') or dict(type='mmdet.DetVisualizationHook')
        cls = HOOKS.get(hook['type']) if isinstance(hook['type'], str) else hook['type']
        if cls is DetVisualizationHook:
            hook = {**hook, 'type': 'mmdet.UniquePicturesHook'}
        hooks['visualization'] = {**hook, 'draw': True, 'test_out_dir': folder}
        cfg.setdefault('visualizer', dict(type='mmdet.DetLocalVisualizer', name='visualizer'))

    def collect(self, cfg: Config, metrics: Dict[str, Any]) -> Dict[str, Any]:
        """Group the results by metric, see ``collect_results``."""
        return collect_results(metrics, coco_kinds(cfg.test_evaluator))

    def table(self, results: Dict[str, Any]) -> str:
        """Format AP and all other numbers as tables."""
        return results_table(results)

    def explain(
        self, cfg: Config, results: Dict[str, Any], images: int, detections: Optional[int], trained_iters: Any
    ) -> str:
        """Explain why there are no detections, or only wrong ones."""
        if is_empty(results, asked_for_ap(cfg.test_evaluator), detections):
            return explain_empty(cfg, detections, images, trained_iters)
        return ''

    def result_files(self, cfg: Config) -> List[str]:
        """List the files that metrics with ``format_only`` wrote."""
        found = []
        for prefix in map(Path, result_prefixes(cfg.test_evaluator)):
            files = prefix.parent.iterdir() if prefix.parent.is_dir() else ()
            found += sorted(str(path) for path in files if path.name.startswith(f'{prefix.name}.'))
        return found
