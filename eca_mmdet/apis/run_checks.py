"""Checks of a run's config that come before anything slow is built."""

import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..datasets.dataset_checks import check_datasets
from ..environment import operators_remedy
from .build_checks import check_log_level, check_parts, check_sections, check_work_dir
from .check_weights import check_fits, check_weights
from .config import expand_home
from .model_checks import build_model

__all__ = ['check_fits', 'check_run']


def check_run(cfg: Config, mode: str) -> None:
    """Check the weights and data that a run needs.

    Args:
        cfg: The config of the run.
        mode: ``'train'`` or ``'test'``.

    Raises:
        FileNotFoundError: If a checkpoint, folder, annotation or image file is missing.
        ValueError: If a part of the config cannot be built, a checkpoint or annotation file does not
            fit the config, or the run needs a GPU that is not there.
    """
    check_sections(cfg, mode)
    check_log_level(cfg)
    expand_home(cfg)
    check_work_dir(cfg.get('work_dir') or '.')
    _check_device(cfg, mode)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = build_model(cfg)
    check_parts(cfg, mode)
    check_weights(cfg, mode)
    splits = ['train', 'val'] if mode == 'train' else ['test']
    check_datasets(cfg, [split for split in splits if cfg.get(f'{split}_dataloader')], model)


def _check_device(cfg: Config, mode: str) -> None:
    """mmengine's mixed precision and launchers are for GPUs, and it takes a GPU where it sees one."""
    if torch.cuda.is_available():
        if get_compiling_cuda_version() == 'not available':
            raise ValueError(
                "torch sees a GPU, but mmcv's operators were compiled for the CPU only; hide the GPU with "
                f'CUDA_VISIBLE_DEVICES= before the command, or {operators_remedy()}'
            )
    elif mode == 'train' and cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        raise ValueError(
            "the config's AmpOptimWrapper needs a GPU, and torch sees none; give "
            '--cfg-options optim_wrapper.type=OptimWrapper, and --amp for bfloat16 on the CPU (dtype and '
            'loss_scale of the wrapper must leave the config)'
        )
    elif cfg.get('launcher', 'none') != 'none':
        raise ValueError(f'--launcher {cfg.launcher} needs GPUs, and torch sees none; leave it out')
