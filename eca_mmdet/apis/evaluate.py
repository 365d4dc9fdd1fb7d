"""Evaluate a checkpoint, and write its results and visualizations."""

import logging
import os
from pathlib import Path
from typing import Any, Dict, Optional

import cv2
import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..checkpoints.io import check_target
from ..results_file import write_results
from ..visualization import write_overview
from .build_runner import build_runner
from .check_weights import check_fits
from .task import SampleCount, task_of


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
        checkpoint: Checkpoint file of the whole model.
        classwise: Whether to report the results of each class even if the config does not ask for it.
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
    task = task_of(cfg)
    task.prepare_metrics(cfg, classwise, out if out and out.endswith('.pkl') else None)
    if show_dir:
        # mmdet would prepend a relative folder again for every image.
        cfg.show_dir = str(Path(show_dir).resolve())
        task.enable_visualization(cfg, cfg.show_dir)
    cfg.results_file = out if out and out.endswith('.json') else str(Path(cfg.work_dir, 'results.json'))
    for path in filter(None, (cfg.results_file, out, show_dir and Path(show_dir, 'x.jpg'))):
        check_target(path, overwrite=True)
    saved = check_fits(cfg, checkpoint)
    task.check_checkpoint(cfg, 'test', saved.get('meta'), checkpoint)
    return saved


def prepare_validation(cfg: Config) -> None:
    """Use the same metrics in the validations of a training as ``tools/test.py``."""
    task_of(cfg).prepare_validation(cfg)


def evaluate(cfg: Config, trained_iters: Optional[int] = None) -> Dict[str, Any]:
    """Evaluate a model on the test set, and print and write the results.

    Args:
        cfg: Config that ``prepare_evaluation`` has prepared.
        trained_iters: Number of training iterations of the checkpoint, if known.

    Returns:
        Results such as ``{'bbox': {'AP': ..., ...}, 'segm': ...}`` of detection, see ``Task.collect``. COCO
        metrics are missing if there are no detections.
    """
    task, runner, counts = task_of(cfg), build_runner(cfg), SampleCount()
    runner.register_hook(counts)
    results = task.collect(cfg, runner.test() or {})
    totals = torch.tensor([counts.images, counts.detections, counts.uncounted], device=get_device())
    all_reduce(totals)  # sum over processes
    images, detections, uncounted = totals.tolist()
    detections = None if uncounted else detections
    if runner.rank != 0:
        return results
    config = cfg.filename and os.path.relpath(cfg.filename)
    description = dict(config=config, checkpoint=cfg.load_from, images=images, detections=detections)
    files = task.result_files(cfg)
    write_results(cfg.results_file, results, **description, **({'result_files': files} if files else {}))
    if results:
        print_log(task.table(results))
    explanation = task.explain(cfg, results, images, detections, trained_iters)
    if explanation:
        print_log(explanation)
    for path in files:
        print_log(f'result file, not evaluated (format_only): {path}')
    print_log(f'results: {cfg.results_file}')
    if cfg.get('show_dir'):
        _write_overview(cfg, runner)
    return results


def _write_overview(cfg: Config, runner: Runner) -> None:
    """Write an overview of six visualizations. An error is only logged, since the results are written."""
    names = [name for hook in runner.hooks for name in getattr(hook, 'file_names', {}).values()]
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
