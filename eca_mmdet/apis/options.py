"""What the command-line options of training and evaluation do to a config.

An option changes the entry that it names and leaves its neighbours as they are. One that is not
given changes nothing.
"""

import argparse
import os
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from .config import load_config, set_work_dir
from .dict_action import SpaceKeepingDictAction


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, ``--launcher`` and the local rank to a tool's parser."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SpaceKeepingDictAction,
        default={},
        metavar='KEY=VALUE',
        help='override the config, such as data_root=/data/coco or train_dataloader.batch_size=4',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'])
    # torchrun's older form passes the rank as an argument instead of LOCAL_RANK.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def config_of(args: argparse.Namespace) -> Config:
    """The config of a run from its tool's arguments; see ``load_config`` for errors."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    set_work_dir(cfg, args.work_dir, args.config)
    if args.launcher:
        cfg.launcher = args.launcher
    return cfg


def use_seed(cfg: Config, seed: int) -> None:
    """Set the seed of a run; whether it is deterministic and differs between processes stays."""
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)


def turn_off_lr_scaling(cfg: Config) -> None:
    """Take the learning rate as it stands in the config, whatever the batch size."""
    if cfg.get('auto_scale_lr'):
        cfg.auto_scale_lr.enable = False


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Go on with a training.

    Args:
        cfg: Config of the run, with ``work_dir`` set.
        checkpoint: The checkpoint to go on from, or ``'auto'`` for the last one of the work
            folder. Where that has none, training starts as the config says: from its
            ``load_from`` if it has one.
    """
    is_auto = checkpoint == 'auto'
    if is_auto and cfg.get('load_from') and not Path(cfg.work_dir, 'last_checkpoint').is_file():
        print_log(f'Nothing to resume in {cfg.work_dir}: starting from load_from={cfg.load_from}.', level=30)
        return
    cfg.resume = True
    cfg.load_from = None if is_auto else checkpoint


def use_amp(cfg: Config) -> None:
    """Train in mixed precision: mmengine's where torch sees a GPU, else bfloat16 (``AutocastHook``).

    Raises:
        ValueError: If the config trains on a GPU with an optimizer wrapper of its own, or with
            several optimizers.
    """
    if torch.cuda.is_available():
        _use_amp_wrapper(cfg)
        return
    hooks = cfg.get('custom_hooks') or []
    if not any(type_name(hook.get('type')) == 'AutocastHook' for hook in hooks if isinstance(hook, dict)):
        cfg.custom_hooks = [*hooks, dict(type='AutocastHook')]


def _use_amp_wrapper(cfg: Config) -> None:
    wrapper = cfg.optim_wrapper
    name = type_name(wrapper.get('type', 'OptimWrapper'))
    if name == 'AmpOptimWrapper':
        return
    if name != 'OptimWrapper' or 'optimizer' not in wrapper:
        own = f'type={name}' if name != 'OptimWrapper' else 'several optimizers'
        raise ValueError(
            f"--amp sets optim_wrapper.type=AmpOptimWrapper, but the config's optim_wrapper has {own}; "
            'leave --amp out, or state the mixed precision in the config'
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('loss_scale', 'dynamic')


def type_name(kind: Any) -> str:
    """The name of a registered class, given as itself or by its name with or without a scope."""
    return str(getattr(kind, '__name__', kind)).split('.')[-1]
