"""Check the config of a run before the slow steps."""

import torch
from mmcv.ops import get_compiling_cuda_version
from mmengine.config import Config
from mmengine.registry import init_default_scope

from ..environment import operators_remedy
from .build_checks import check_parts
from .check_weights import check_fits, check_weights
from .config import expand_home
from .model_checks import build_model
from .section_checks import check_auto_scale_lr, check_log_level, check_sections, check_work_dir
from .task import task_of

__all__ = ['check_fits', 'check_run']


def check_run(cfg: Config, mode: str) -> None:
    """Check the config, weights and data of a run.

    Args:
        cfg: The config of the run.
        mode: ``'train'`` or ``'test'``.

    Raises:
        HostError: If the host library of the config is missing or broken.
        FileNotFoundError: If a checkpoint, folder, annotation or image file is missing.
        KeyError: If a class is not registered.
        PermissionError: If the work directory cannot be written to.
        ValueError: If a part of the config cannot be built, a checkpoint or annotation file does not
            match the config, or the run needs a GPU and none is available.
    """
    check_sections(cfg, mode)
    check_log_level(cfg)
    expand_home(cfg)
    check_work_dir(cfg.get('work_dir') or '.')
    _check_device(cfg, mode)
    task = task_of(cfg)
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    model = build_model(cfg)
    task.check_model(cfg, model, mode)
    if mode == 'train':
        check_auto_scale_lr(cfg)
    check_parts(cfg, mode, task)
    check_weights(cfg, mode)
    splits = ['train', 'val'] if mode == 'train' else ['test']
    task.check_data(cfg, [split for split in splits if cfg.get(f'{split}_dataloader')], model)


def _check_device(cfg: Config, mode: str) -> None:
    """Check that the GPU can be used if there is one, and is not needed otherwise."""
    if torch.cuda.is_available():
        if get_compiling_cuda_version() == 'not available':
            raise ValueError(
                "torch finds a GPU, but mmcv's operators were compiled for the CPU only. Hide the GPU with "
                f'CUDA_VISIBLE_DEVICES= before the command, or {operators_remedy()}'
            )
    elif mode == 'train' and cfg.optim_wrapper.get('type') == 'AmpOptimWrapper':
        raise ValueError(
            'optim_wrapper.type is AmpOptimWrapper, which needs a GPU, but torch finds none. Remove dtype '
            'and loss_scale from optim_wrapper in the config and use\n'
            '    --cfg-options optim_wrapper.type=OptimWrapper\nAdd --amp to train in bfloat16 on the CPU.'
        )
    elif cfg.get('launcher', 'none') != 'none':
        raise ValueError(f'--launcher {cfg.launcher} needs GPUs, but torch finds none. Remove the option')
