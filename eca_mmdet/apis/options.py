"""The command-line options that training and evaluation share."""

import argparse
import os

import torch
from mmengine.config import Config, DictAction

from .config import load_config, set_work_dir


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cfg-options``, ``--launcher`` and the local rank to a tool's parser."""
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override the config, such as data_root=/data/coco or train_dataloader.batch_size=4',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun's older form passes the rank as an argument instead of LOCAL_RANK.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)


def config_of(args: argparse.Namespace) -> Config:
    """The config of a run from its tool's arguments; see ``load_config`` for errors."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    cfg = load_config(args.config, args.cfg_options)
    set_work_dir(cfg, args.work_dir, args.config)
    cfg.launcher = args.launcher
    return cfg


def use_amp(cfg: Config) -> None:
    """Train in mixed precision: mmengine's where torch sees a GPU, else bfloat16 (``AutocastHook``)."""
    if torch.cuda.is_available():
        cfg.optim_wrapper.type = 'AmpOptimWrapper'
        cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')
    else:
        cfg.custom_hooks = [*cfg.get('custom_hooks', []), dict(type='AutocastHook')]
