"""Evaluate a checkpoint of a detector: COCO results, JSON, pictures."""

import os
from pathlib import Path
from typing import Any, Dict, Optional

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from ..checkpoints.io import check_target
from ..evaluation import collect_results, explain_empty, results_table, split_by_type, write_results
from ..visualization import write_overview
from .checks import check_fits


class _DetectionCount(Hook):
    """Counts images and detections, to tell an empty result from a wrong one."""

    images = detections = 0

    def after_test_iter(self, runner: Runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        self.images += len(outputs)
        self.detections += sum(len(sample.pred_instances) for sample in outputs)


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
        classwise: Whether to report the AP of every class.
        out: Where to write: results for ``.json`` (default ``work_dir/results.json``),
            all predictions for ``.pkl``.
        show_dir: Folder for pictures, ground truth on the left, predictions on the right.

    Returns:
        The checkpoint's entries beside its tensors.

    Raises:
        ValueError: If ``out`` has another ending, or the checkpoint does not fit the model.
        OSError: If a result could not be written.
    """
    if out and not out.endswith(('.json', '.pkl')):
        raise ValueError(f'--out is a .json file (results) or a .pkl file (predictions), got {out}')
    cfg.load_from = checkpoint
    cfg.test_evaluator = split_by_type(cfg.test_evaluator, classwise)
    if out and out.endswith('.pkl'):
        cfg.test_evaluator.append(dict(type='DumpDetResults', out_file_path=out))
    if show_dir:
        # mmdet joins a relative folder to its own path once more at every image.
        cfg.show_dir = str(Path(show_dir).resolve())
        cfg.default_hooks.visualization.update(draw=True, test_out_dir=cfg.show_dir)
    cfg.results_file = out if out and out.endswith('.json') else str(Path(cfg.work_dir, 'results.json'))
    for path in filter(None, (cfg.results_file, out, show_dir and Path(show_dir, 'x.jpg'))):
        check_target(path, overwrite=True)
    return check_fits(cfg, checkpoint)


def evaluate(cfg: Config, trained_iters: Optional[int] = None) -> Dict[str, Any]:
    """Run a prepared detector over the test set; print and write the COCO results.

    Args:
        cfg: Config that ``prepare_evaluation`` set up.
        trained_iters: Iterations that the checkpoint was trained for, where known.

    Returns:
        ``{'bbox': {'AP': ..., ...}, 'segm': ...}``, empty where nothing was detected.
    """
    runner = Runner.from_cfg(cfg)
    counts = _DetectionCount()
    runner.register_hook(counts)
    results = collect_results(runner.test())
    seen = torch.tensor([counts.images, counts.detections], device=get_device())
    all_reduce(seen)  # every process counted its share
    images, detections = seen.tolist()
    if runner.rank == 0:
        about = dict(
            config=os.path.relpath(cfg.filename),
            checkpoint=cfg.load_from,
            images=images,
            detections=detections,
        )
        write_results(cfg.results_file, results, **about)
        if results:
            print(results_table(results))
        if not any(row['AP'] for row in results.values()):
            print(explain_empty(cfg, detections, images, trained_iters))
        print(f'results: {cfg.results_file}')
        pictures = sorted(Path(cfg.show_dir).glob('*.[jp][pn]g')) if cfg.get('show_dir') else []
        if pictures:
            write_overview(pictures[:6], Path(cfg.work_dir, 'overview.jpg'))
            print(f'pictures: {cfg.show_dir}, the first six in {cfg.work_dir}/overview.jpg')
    return results
