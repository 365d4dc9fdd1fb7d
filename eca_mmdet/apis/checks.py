"""Checks of a run's config that come before anything slow is built."""

import logging
from pathlib import Path
from typing import Iterator

import torch
from mmengine.config import Config
from mmengine.logging import print_log

from ..datasets.checks import check_datasets

WEIGHTS_HELP = (
    '  to get it: download the official ECANet ImageNet checkpoint (links in its README, '
    'github.com/BangguWu/ECANet) and run\n'
    '      python tools/convert_weights.py DOWNLOADED {path}\n'
    '  to train from scratch on purpose:\n'
    '      --cfg-options {key}.init_cfg=None {key}.frozen_stages=-1 {key}.norm_eval=False'
)


def check_run(cfg: Config, mode: str) -> None:
    """Check the weights and data that a run needs.

    Args:
        cfg: The config of the run.
        mode: ``'train'`` or ``'test'``.

    Raises:
        FileNotFoundError: If a checkpoint, folder, annotation or image file is missing.
        ValueError: If an annotation file does not parse, its categories do not match, or
            the run needs a GPU that is not there.
    """
    if cfg.get('load_from') and not _is_remote(cfg.load_from) and not Path(cfg.load_from).is_file():
        raise FileNotFoundError(f'checkpoint {cfg.load_from}: no such file')
    _check_device(cfg, mode)
    if mode == 'train':
        _check_resume(cfg)
        _check_pretrained(cfg)
    splits = ['train', 'val'] if mode == 'train' else ['test']
    check_datasets(cfg, [split for split in splits if cfg.get(f'{split}_dataloader')])


def _check_device(cfg: Config, mode: str) -> None:
    """mmengine's mixed precision and launchers are for GPUs; on a CPU they end in an assertion."""
    if torch.cuda.is_available():
        return
    if mode == 'train' and cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        raise ValueError('mixed precision (--amp) needs a GPU, and torch sees none; train without it')
    if cfg.get('launcher', 'none') != 'none':
        raise ValueError(f'--launcher {cfg.launcher} needs GPUs, and torch sees none; leave it out')


def _is_remote(path: str) -> bool:
    return '://' in path


def _check_resume(cfg: Config) -> None:
    """An automatic resume without a checkpoint starts anew, so it must say so."""
    if cfg.get('resume') and not cfg.get('load_from') and not Path(cfg.work_dir, 'last_checkpoint').is_file():
        print_log(f'Nothing to resume in {cfg.work_dir}: training starts at the beginning.', level=30)


def _pretrained(node: dict, key: str) -> Iterator[tuple]:
    for name, value in node.items():
        if not isinstance(value, dict):
            continue
        if name == 'init_cfg' and value.get('type') == 'Pretrained':
            yield key, node, value['checkpoint']
        yield from _pretrained(value, f'{key}.{name}')


def _check_pretrained(cfg: Config) -> None:
    for key, node, path in list(_pretrained(cfg.model, 'model')):
        if _is_remote(path) or Path(path).is_file():
            continue
        if cfg.get('resume') and (cfg.get('load_from') or Path(cfg.work_dir, 'last_checkpoint').is_file()):
            node['init_cfg'] = None  # the resumed checkpoint holds these weights
            continue
        raise FileNotFoundError(
            f'weights {path} of {key}: no such file\n' + WEIGHTS_HELP.format(path=path, key=key)
        )
    backbone = cfg.model.get('backbone') or {}
    if (
        backbone.get('init_cfg') is None
        and backbone.get('frozen_stages', -1) >= 0
        and not cfg.get('load_from')
    ):
        print_log(
            f'The backbone has no pretrained weights and frozen_stages={backbone.frozen_stages}: these '
            'stages stay random. For training from scratch add model.backbone.frozen_stages=-1 '
            'model.backbone.norm_eval=False.',
            level=logging.WARNING,
        )
