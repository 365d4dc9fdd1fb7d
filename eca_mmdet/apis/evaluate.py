"""Evaluate a checkpoint of a detector, and write its results and visualizations."""

import logging
import os
from pathlib import Path
from typing import Any, Dict, List, Optional

import cv2
import torch
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..checkpoints.io import check_target
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
    write_results,
)
from ..visualization import UniquePicturesHook, write_overview
from .box_convention import check_box_convention
from .build_runner import build_runner
from .class_order import check_class_order
from .run_checks import check_fits


class _DetectionCount(Hook):
    """Count images and detections, to tell an empty result from a wrong one."""

    images = detections = uncounted = 0

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        for sample in outputs:
            found = sample.get('pred_instances') if hasattr(sample, 'get') else None
            self.images += 1
            self.detections += 0 if found is None else len(found)
            self.uncounted += found is None  # for example, output of a panoptic detector


def prepare_evaluation(
    cfg: Config,
    checkpoint: str,
    classwise: bool = False,
    out: Optional[str] = None,
    show_dir: Optional[str] = None,
) -> Dict[str, Any]:
    """Prepare ``cfg`` for ``evaluate``, and check everything that could fail late.

    Args:
        cfg: Config of the run, with ``work_dir`` set.
        checkpoint: Checkpoint file of the whole detector.
        classwise: Whether to report per-class AP even if the config does not ask for it.
        out: Output file: ``.json`` for results, ``.pkl`` for predictions. Results are written to
            ``work_dir/results.json`` if it is not a ``.json`` file.
        show_dir: Folder for visualizations, with ground truth on the left and predictions on the right.

    Returns:
        The entries of the checkpoint other than its tensors.

    Raises:
        ValueError: If ``out`` has another suffix, the config has nothing to evaluate, an evaluator has wrong
            options, the checkpoint does not match the model, or it was trained with another class order or
            box convention.
        KeyError: If a metric is unknown.
        OSError: If an output file cannot be written.
    """
    out, show_dir = (path and os.path.expanduser(path) for path in (out, show_dir))
    if out and not out.endswith(('.json', '.pkl')):
        raise ValueError(f'--out is {out}, but must be a .json file (results) or a .pkl file (predictions)')
    if not cfg.get('test_evaluator') or not cfg.get('test_dataloader'):
        raise ValueError(
            'the config has no test_evaluator or no test_dataloader, so there is nothing to evaluate'
        )
    cfg.load_from, cfg.resume = checkpoint, False  # resuming would build the training dataset
    cfg.test_evaluator = split_by_type(cfg.test_evaluator, classwise)
    if out and out.endswith('.pkl'):
        if is_custom(cfg.test_evaluator):
            raise ValueError(
                f'--out {out}: the evaluator {cfg.test_evaluator["type"]} cannot write predictions. '
                'Remove the option, or name a .json file'
            )
        # Runs first, so that predictions are kept if a metric fails.
        cfg.test_evaluator.insert(0, dict(type='mmdet.DumpDetResults', out_file_path=out))
    if show_dir:
        # mmdet would prepend a relative folder again for every image.
        cfg.show_dir = str(Path(show_dir).resolve())
        _enable_visualization(cfg, cfg.show_dir)
    cfg.results_file = out if out and out.endswith('.json') else str(Path(cfg.work_dir, 'results.json'))
    for path in filter(None, (cfg.results_file, out, show_dir and Path(show_dir, 'x.jpg'))):
        check_target(path, overwrite=True)
    saved = check_fits(cfg, checkpoint)
    check_class_order(cfg, 'test', saved.get('meta'), checkpoint)
    check_box_convention(cfg, saved.get('meta'), checkpoint)
    return saved


def prepare_validation(cfg: Config) -> None:
    """Use the same metrics in the validations of a training as ``tools/test.py``."""
    if cfg.get('val_evaluator'):
        cfg.val_evaluator = use_fast_coco(cfg.val_evaluator)


def _enable_visualization(cfg: Config, folder: str) -> None:
    """Enable the visualization hook. mmdet's hook is replaced by one with unique file names."""
    hooks = cfg.setdefault('default_hooks', {})
    hook = hooks.get('visualization') or dict(type='mmdet.DetVisualizationHook')
    cls = HOOKS.get(hook['type']) if isinstance(hook['type'], str) else hook['type']
    if cls is DetVisualizationHook:
        hook = {**hook, 'type': 'mmdet.UniquePicturesHook'}
    hooks['visualization'] = {**hook, 'draw': True, 'test_out_dir': folder}
    cfg.setdefault('visualizer', dict(type='mmdet.DetLocalVisualizer', name='visualizer'))


def evaluate(cfg: Config, trained_iters: Optional[int] = None) -> Dict[str, Any]:
    """Evaluate a detector on the test set, and print and write the results.

    Args:
        cfg: Config that ``prepare_evaluation`` has prepared.
        trained_iters: Number of training iterations of the checkpoint, if known.

    Returns:
        Results such as ``{'bbox': {'AP': ..., ...}, 'segm': ...}``, see ``collect_results``. COCO metrics are
        missing if there are no detections.
    """
    runner = build_runner(cfg)
    counts = _DetectionCount()
    runner.register_hook(counts)
    results = collect_results(runner.test() or {}, coco_kinds(cfg.test_evaluator))
    totals = torch.tensor([counts.images, counts.detections, counts.uncounted], device=get_device())
    all_reduce(totals)  # sum over processes
    images, detections, uncounted = totals.tolist()
    detections = None if uncounted else detections
    if runner.rank != 0:
        return results
    description = dict(
        config=cfg.filename and os.path.relpath(cfg.filename),
        checkpoint=cfg.load_from,
        images=images,
        detections=detections,
    )
    files = _result_files(cfg)
    write_results(cfg.results_file, results, **description, **({'result_files': files} if files else {}))
    if results:
        print_log(results_table(results))
    if is_empty(results, asked_for_ap(cfg.test_evaluator), detections):
        print_log(explain_empty(cfg, detections, images, trained_iters))
    for path in files:
        print_log(f'result file, not evaluated (format_only): {path}')
    print_log(f'results: {cfg.results_file}')
    if cfg.get('show_dir'):
        _write_overview(cfg, runner)
    return results


def _result_files(cfg: Config) -> List[str]:
    """List the files that metrics with ``format_only`` wrote."""
    found = []
    for prefix in map(Path, result_prefixes(cfg.test_evaluator)):
        files = prefix.parent.iterdir() if prefix.parent.is_dir() else ()
        found += sorted(str(path) for path in files if path.name.startswith(f'{prefix.name}.'))
    return found


def _write_overview(cfg: Config, runner: Runner) -> None:
    """Write an overview of six visualizations. An error is only logged, since the results are written."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, UniquePicturesHook)]
    names = [name for hook in hooks for name in hook.file_names.values()]
    folder = Path(cfg.show_dir)
    paths = [folder / name for name in sorted(names)] or sorted(folder.glob('*.[jp][pn]g'))
    paths = [path for path in paths if path.is_file()]
    overview = Path(cfg.work_dir, 'overview.jpg')
    try:
        write_overview(paths[:6], overview)
    except (ValueError, OSError, cv2.error) as error:
        print_log(f'visualizations: {folder}, without an overview: {error}', level=logging.WARNING)
    else:
        print_log(f'visualizations: {folder}, the first six in {overview}')
