"""Measure the share of a training step that is spent waiting for data, in a short run of mmengine's loop."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional

from mmengine.runner import Runner

from eca_mmdet.apis.config import load_config
from eca_mmdet.datasets import make_shapes

from .measure import quartiles, run_in_own_process


def measure_loading(
    config: str, options: Optional[dict] = None, iterations: int = 20, warmup: int = 5, size: int = 160
) -> Dict[str, Any]:
    """Train on drawn shapes for some iterations in a separate process, and read mmengine's timers.

    Args:
        config: Config of a detector for the dataset of ``make_shapes``.
        options: Dotted names and values that override the config, such as ``train_dataloader.num_workers``.
        iterations: Measured iterations.
        warmup: Warm-up iterations before them, in which the data loader's workers start.
        size: Height and width of the drawn images.

    Returns:
        Seconds per iteration, seconds of waiting for data, and the share of the waiting time.

    Raises:
        RuntimeError: If the run fails. The message has the end of its output.
    """
    request = dict(config=str(config), options=options, iterations=iterations, warmup=warmup, size=size)
    return run_in_own_process(__name__, request)


def _measure(config: str, options: Optional[dict], iterations: int, warmup: int, size: int) -> Dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        cfg = load_config(config, {**(options or {}), 'data_root': f'{folder}/shapes'})
        total = warmup + iterations
        make_shapes(Path(folder, 'shapes'), train=total * cfg.train_dataloader.batch_size, val=1, size=size)
        cfg.work_dir = f'{folder}/run'
        cfg.train_cfg = dict(type='IterBasedTrainLoop', max_iters=total)
        cfg.param_scheduler = None
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
        cfg.test_dataloader = cfg.test_cfg = cfg.test_evaluator = None
        cfg.default_hooks.checkpoint = None
        runner = Runner.from_cfg(cfg)
        runner.train()
    scalars = runner.message_hub.log_scalars
    waits, times = (scalars[f'train/{name}'].data[0][warmup:].tolist() for name in ('data_time', 'time'))
    loader = cfg.train_dataloader
    return dict(
        config=Path(config).name,
        batch=loader.batch_size,
        workers=loader.num_workers,
        seconds=quartiles(times),
        data_seconds=quartiles(waits),
        share=sum(waits) / sum(times),
        n=len(times),
    )


if __name__ == '__main__':
    print(json.dumps(_measure(**json.loads(sys.argv[1]))))
