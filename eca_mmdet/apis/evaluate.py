"""Evaluate a checkpoint of a detector: results as tables and JSON, pictures."""

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
    """Counts images and detections, to tell an empty result from a wrong one."""

    images = detections = uncounted = 0

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        for sample in outputs:
            found = sample.get('pred_instances') if hasattr(sample, 'get') else None
            self.images += 1
            self.detections += 0 if found is None else len(found)
            self.uncounted += found is None  # a panoptic detector's, for example


def prepare_evaluation(
    cfg: Config,
    checkpoint: str,
    classwise: bool = False,
    out: Optional[str] = None,
    show_dir: Optional[str] = None,
) -> Dict[str, Any]:
    """Set up ``cfg`` for ``evaluate``, and check what could fail late.

    Args:
        cfg: Config of the run, with ``work_dir`` set.
        checkpoint: Checkpoint file of the whole detector.
        classwise: Whether to report the AP of every class also where the config does not ask for it.
        out: Where to write: results for ``.json`` (default ``work_dir/results.json``),
            all predictions for ``.pkl``.
        show_dir: Folder for pictures, ground truth on the left, predictions on the right.

    Returns:
        The checkpoint's entries beside its tensors.

    Raises:
        ValueError: If ``out`` has another ending, the config has nothing to evaluate, an evaluator's
            options are wrong, the checkpoint does not fit the model, or it was trained on the same
            classes in another order or with boxes of another convention.
        KeyError: If an evaluator has no such metric.
        OSError: If a result could not be written.
    """
    out, show_dir = (path and os.path.expanduser(path) for path in (out, show_dir))
    if out and not out.endswith(('.json', '.pkl')):
        raise ValueError(f'--out is a .json file (results) or a .pkl file (predictions), got {out}')
    if not cfg.get('test_evaluator') or not cfg.get('test_dataloader'):
        raise ValueError('the config has no test_evaluator or no test_dataloader: nothing to evaluate')
    cfg.load_from, cfg.resume = checkpoint, False  # to resume would build the training data
    cfg.test_evaluator = split_by_type(cfg.test_evaluator, classwise)
    if out and out.endswith('.pkl'):
        if is_custom(cfg.test_evaluator):
            raise ValueError(
                f'--out {out}: predictions cannot be written together with the evaluator '
                f'{cfg.test_evaluator["type"]}; leave the option out or name a .json file'
            )
        # The first of all, so that predictions are kept where a metric fails.
        cfg.test_evaluator.insert(0, dict(type='mmdet.DumpDetResults', out_file_path=out))
    if show_dir:
        # mmdet joins a relative folder to its own path once more at every image.
        cfg.show_dir = str(Path(show_dir).resolve())
        _draw(cfg, cfg.show_dir)
    cfg.results_file = out if out and out.endswith('.json') else str(Path(cfg.work_dir, 'results.json'))
    for path in filter(None, (cfg.results_file, out, show_dir and Path(show_dir, 'x.jpg'))):
        check_target(path, overwrite=True)
    saved = check_fits(cfg, checkpoint)
    check_class_order(cfg, 'test', saved.get('meta'), checkpoint)
    check_box_convention(cfg, saved.get('meta'), checkpoint)
    return saved


def prepare_validation(cfg: Config) -> None:
    """Let the validations of a training compute what ``tools/test.py`` would."""
    if cfg.get('val_evaluator'):
        cfg.val_evaluator = use_fast_coco(cfg.val_evaluator)


def _draw(cfg: Config, folder: str) -> None:
    """Let the config's visualization hook write pictures, mmdet's own under unique names."""
    hooks = cfg.setdefault('default_hooks', {})
    hook = hooks.get('visualization') or dict(type='mmdet.DetVisualizationHook')
    kind = hook['type']
    if (HOOKS.get(kind) if isinstance(kind, str) else kind) is DetVisualizationHook:
        hook = {**hook, 'type': 'mmdet.UniquePicturesHook'}
    hooks['visualization'] = {**hook, 'draw': True, 'test_out_dir': folder}
    cfg.setdefault('visualizer', dict(type='mmdet.DetLocalVisualizer', name='visualizer'))


def evaluate(cfg: Config, trained_iters: Optional[int] = None) -> Dict[str, Any]:
    """Run a prepared detector over the test set; print and write all results.

    Args:
        cfg: Config that ``prepare_evaluation`` set up.
        trained_iters: Iterations that the checkpoint was trained for, where known.

    Returns:
        ``{'bbox': {'AP': ..., ...}, 'segm': ...}`` and what other metrics measured, see
        ``collect_results``. A COCO metric is missing where nothing was detected.
    """
    runner = build_runner(cfg)
    counts = _DetectionCount()
    runner.register_hook(counts)
    results = collect_results(runner.test() or {}, coco_kinds(cfg.test_evaluator))
    seen = torch.tensor([counts.images, counts.detections, counts.uncounted], device=get_device())
    all_reduce(seen)  # every process counted its share
    images, detections, uncounted = seen.tolist()
    detections = None if uncounted else detections
    if runner.rank != 0:
        return results
    about = dict(
        config=cfg.filename and os.path.relpath(cfg.filename),
        checkpoint=cfg.load_from,
        images=images,
        detections=detections,
    )
    files = _result_files(cfg)
    write_results(cfg.results_file, results, **about, **({'result_files': files} if files else {}))
    if results:
        print_log(results_table(results))
    if is_empty(results, asked_for_ap(cfg.test_evaluator), detections):
        print_log(explain_empty(cfg, detections, images, trained_iters))
    for path in files:
        print_log(f'result file, not evaluated (format_only): {path}')
    print_log(f'results: {cfg.results_file}')
    if cfg.get('show_dir'):
        _show(cfg, runner)
    return results


def _result_files(cfg: Config) -> List[str]:
    """What metrics with ``format_only`` wrote."""
    found = []
    for prefix in map(Path, result_prefixes(cfg.test_evaluator)):
        files = prefix.parent.iterdir() if prefix.parent.is_dir() else ()
        found += sorted(str(path) for path in files if path.name.startswith(f'{prefix.name}.'))
    return found


def _show(cfg: Config, runner: Runner) -> None:
    """Say where the pictures are, and put six of them on one sheet; the results are written already."""
    hooks = [hook for hook in runner.hooks if isinstance(hook, UniquePicturesHook)]
    names = [name for hook in hooks for name in hook.pictures.values()]
    folder = Path(cfg.show_dir)
    pictures = [folder / name for name in sorted(names)] or sorted(folder.glob('*.[jp][pn]g'))
    pictures = [path for path in pictures if path.is_file()]
    overview = Path(cfg.work_dir, 'overview.jpg')
    try:
        write_overview(pictures[:6], overview)
    except (ValueError, OSError, cv2.error) as error:
        print_log(f'pictures: {folder}; no overview of them: {error}', level=logging.WARNING)
    else:
        print_log(f'pictures: {folder}, the first six in {overview}')
