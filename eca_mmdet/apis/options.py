"""Apply the command-line options of training and evaluation to a config.

Each option changes only its own entry. Options that are not given change nothing.
"""

import argparse
import logging
import os
from typing import Any, Callable, Mapping, Optional

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ..checkpoints.latest import find_latest, read_meta
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
    # Older launchers pass the rank as an argument instead of the variable LOCAL_RANK.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def config_of(args: argparse.Namespace, prepare: Optional[Callable[[Config], None]] = None) -> Config:
    """Load the config of a run from the arguments of a tool. See ``load_config`` for the errors.

    Args:
        args: The arguments of the tool.
        prepare: A function that changes the config before ``--cfg-options`` do, see ``own_data_step``.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options, prepare)
    set_work_dir(cfg, args.work_dir, args.config, absolute=bool(getattr(args, 'data', None)))
    if args.launcher:
        cfg.launcher = args.launcher
    return cfg


def use_seed(cfg: Config, seed: int) -> None:
    """Set the seed of a run. Other entries of ``randomness`` are kept."""
    cfg.randomness = dict(cfg.get('randomness') or {}, seed=seed)


def turn_off_lr_scaling(cfg: Config) -> None:
    """Use the learning rate of the config for any batch size."""
    if cfg.get('auto_scale_lr'):
        cfg.auto_scale_lr.enable = False


def resume_from(cfg: Config, checkpoint: str) -> None:
    """Resume a training.

    Args:
        cfg: Config of the run, with ``work_dir`` set.
        checkpoint: The checkpoint to resume from, or ``'auto'`` for the newest one in the work directory that
            can be read. If there is none, a new training starts, with ``load_from`` if it is set.

    Raises:
        ValueError: If a last checkpoint is recorded, but none can be resumed.
    """
    if checkpoint == 'auto':
        latest = find_latest(cfg.work_dir)
        if latest is None and cfg.get('load_from'):
            message = f'Nothing to resume in {cfg.work_dir}. Starting from load_from={cfg.load_from}.'
            print_log(message, level=logging.WARNING)
            return
        path, meta = latest or (None, {})
    else:
        path, meta = checkpoint, read_meta(checkpoint)
    cfg.resume = True
    cfg.load_from = path
    _keep_seed(cfg, meta, path)


def _keep_seed(cfg: Config, meta: Mapping[str, Any], path: Optional[str]) -> None:
    """Use the seed of a checkpoint: mmengine orders the images before it reads this seed."""
    seed = meta.get('seed')
    if not isinstance(seed, int):
        return
    current = (cfg.get('randomness') or {}).get('seed')
    if current not in (None, seed):
        print_log(
            f'The run goes on with seed {seed} of {path}. Seed {current} is not used.', level=logging.WARNING
        )
    use_seed(cfg, seed)


def use_amp(cfg: Config) -> None:
    """Train in mixed precision: with ``AmpOptimWrapper`` on a GPU, with ``AutocastHook`` on a CPU.

    Raises:
        ValueError: If the run uses a GPU and the config has a custom optimizer wrapper or several optimizers.
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
        found = f'type={name}' if name != 'OptimWrapper' else 'several optimizers'
        raise ValueError(
            f'--amp needs an optim_wrapper of type OptimWrapper with one optimizer, but it has {found}. '
            'Remove --amp, or configure mixed precision in the config'
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('loss_scale', 'dynamic')


def type_name(type_or_name: Any) -> str:
    """Return the name of a class without its scope. The class may be given by its name."""
    return str(getattr(type_or_name, '__name__', type_or_name)).split('.')[-1]
