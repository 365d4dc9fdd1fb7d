"""How much of a training step is waiting for data: a short run of mmengine's own loop."""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, Optional

from mmengine.runner import Runner

from eca_mmdet.apis.config import load_config
from eca_mmdet.datasets import make_shapes

from .measure import in_own_process, quartiles


def measure_loading(
    config: str, options: Optional[dict] = None, iterations: int = 20, warmup: int = 5, size: int = 160
) -> Dict[str, Any]:
    """Train on drawn shapes for some iterations, in a process of its own, and read mmengine's timers.

    Args:
        config: Of a detector for the shapes of ``make_shapes``.
        options: Dotted names and values that override the config, such as ``scale``'s users or
            ``train_dataloader.num_workers``.
        iterations: That count.
        warmup: Iterations before them, in which the workers start.
        size: Side of the images that are drawn.

    Returns:
        Seconds of an iteration and of the wait for its data, and the share of all the waits.

    Raises:
        RuntimeError: If the run fails, with the end of what it wrote.
    """
    request = dict(config=str(config), options=options, iterations=iterations, warmup=warmup, size=size)
    return in_own_process(__name__, request)


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
