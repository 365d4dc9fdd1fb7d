"""Checks of a run's config that come before anything slow is built."""

import logging
from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, Iterator

import torch
from mmcv.ops import get_compiling_cuda_version
from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import init_default_scope

from ..checkpoints.io import errors_name, read_checkpoint, unwrap
from ..datasets.checks import check_datasets
from ..environment import operators_remedy, tool
from ..layers import attention_config

ECA_WEIGHTS_HELP = (
    '  to get it: download the official ECANet ImageNet checkpoint (links in its README, '
    'github.com/BangguWu/ECANet) and run\n'
    '      {tool} DOWNLOADED {path}\n'
)
OTHER_WEIGHTS_HELP = (
    '  it should hold a ResNet with this attention, trained on ImageNet, under the names of this backbone\n'
    '  to start from a plain ResNet instead, the attention untrained:\n'
    '      --cfg-options {key}.init_cfg.checkpoint=torchvision://resnet{depth} {key}.frozen_stages=0\n'
)
FROM_SCRATCH_HELP = (
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
        ValueError: If a checkpoint or annotation file does not fit the config, or the run
            needs a GPU that is not there.
    """
    _check_device(cfg, mode)
    path = cfg.get('load_from')
    if path and not _is_remote(path) and not Path(path).is_file():
        raise FileNotFoundError(f'checkpoint {path}: no such file')
    if mode == 'train':
        _check_resume(cfg)
        _check_pretrained(cfg)
    splits = ['train', 'val'] if mode == 'train' else ['test']
    check_datasets(cfg, [split for split in splits if cfg.get(f'{split}_dataloader')])


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
            '--cfg-options optim_wrapper.type=OptimWrapper, and --amp for bfloat16 on the CPU'
        )
    elif cfg.get('launcher', 'none') != 'none':
        raise ValueError(f'--launcher {cfg.launcher} needs GPUs, and torch sees none; leave it out')


def _is_remote(path: str) -> bool:
    return '://' in path


def _check_resume(cfg: Config) -> None:
    """Read the checkpoint to start from; one to resume must fit the config as a whole."""
    path = cfg.get('load_from')
    if cfg.get('resume') and not path:
        pointer = Path(cfg.work_dir, 'last_checkpoint')
        if not pointer.is_file():
            print_log(f'Nothing to resume in {cfg.work_dir}: training starts at the beginning.', level=30)
            return
        path = pointer.read_text().strip()
        if not Path(path).is_file():
            raise FileNotFoundError(f'{pointer} names {path}, which is not there; use --resume CHECKPOINT')
    if not path or _is_remote(path):
        return
    if not cfg.get('resume'):
        read_checkpoint(path)
        return
    beside = check_fits(cfg, path)
    absent = {'meta', 'message_hub', 'optimizer'} - set(beside)
    if absent:
        raise ValueError(
            f'{path} holds weights but no training to resume ({", ".join(sorted(absent))} missing); to start '
            f'a new training from its weights: --cfg-options load_from={path}'
        )


def _pretrained(node: dict, key: str) -> Iterator[tuple]:
    for name, value in node.items():
        if not isinstance(value, dict):
            continue
        if name == 'init_cfg' and value.get('type') == 'Pretrained':
            yield key, node, value['checkpoint']
        yield from _pretrained(value, f'{key}.{name}')


def _check_pretrained(cfg: Config) -> None:
    resumes = cfg.get('resume') and (cfg.get('load_from') or Path(cfg.work_dir, 'last_checkpoint').is_file())
    for key, node, path in list(_pretrained(cfg.model, 'model')):
        if resumes:
            node['init_cfg'] = None  # the resumed checkpoint holds these weights
        elif not _is_remote(path) and not Path(path).is_file():
            raise FileNotFoundError(
                f'weights {path} of {key}: no such file\n'
                + _weights_help(node).format(
                    path=path, key=key, depth=node.get('depth'), tool=tool('convert_weights.py')
                )
            )
        elif not _is_remote(path) and node.get('type') in ('ECAResNet', 'ECAMobileNetV2'):
            _check_backbone_file(node, path)
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


def _weights_help(backbone: dict) -> str:
    is_eca = attention_config(backbone.get('attention', 'eca')) == attention_config('eca')
    return (ECA_WEIGHTS_HELP if is_eca else OTHER_WEIGHTS_HELP) + FROM_SCRATCH_HELP


def _tensors(checkpoint: Any) -> Dict[str, torch.Tensor]:
    return {key.removeprefix('module.'): value for key, value in unwrap(checkpoint)[0].items()}


def _check_backbone_file(backbone: dict, path: str) -> None:
    """What loading would refuse, before the data is read."""
    prefix = (backbone['init_cfg'].get('prefix') or '').rstrip('.')
    with errors_name(path):
        tensors = _tensors(read_checkpoint(path))
        with torch.device('meta'):
            MODELS.build({**backbone, 'init_cfg': None}).check_weights(
                tensors, f'{prefix}.' if prefix else ''
            )


def check_fits(cfg: Config, path: str) -> Dict[str, Any]:
    """Check that a checkpoint holds every tensor of a config's model, in shape and finite.

    mmengine loads non-strictly and evaluates what is missing with random weights.

    Args:
        cfg: The config; its model is built without memory or initialisation.
        path: Checkpoint file of the whole detector.

    Returns:
        The checkpoint's entries beside its tensors.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint, or a tensor is missing, of another shape, or
            not finite.
    """
    checkpoint = read_checkpoint(path)
    try:
        saved = _tensors(checkpoint)
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    with torch.device('meta'):
        own = MODELS.build(deepcopy(cfg.model)).state_dict()
    missing = [key for key in own if key not in saved and not key.endswith('num_batches_tracked')]
    shapes = [
        f'{key}: {tuple(saved[key].shape)} in the file, {tuple(own[key].shape)} in the model'
        for key in own
        if key in saved and saved[key].shape != own[key].shape
    ]
    if missing or shapes:
        raise ValueError(
            f'{path} does not fit the config: {len(missing)} of {len(own)} tensors missing {missing[:3]}, '
            f'{len(shapes)} of another shape {shapes[:3]}. Is it the checkpoint of another config, or a '
            'backbone without its detector?'
        )
    return {key: value for key, value in checkpoint.items() if key != 'state_dict'}
