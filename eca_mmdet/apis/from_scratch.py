"""Train a detector of mmdet from random weights: everything that this needs, with any config.

Configs of mmdet start from ImageNet weights: their first stages and their norms are frozen, and 12 epochs of
SGD are enough. With random weights, frozen parts would stay random, and SGD would need many more steps.
"""

import math
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config
from mmengine.dist import get_dist_info
from mmengine.logging import print_log
from torch import nn

from ..datasets.annotation_checks import read_annotations
from ..datasets.coco_readers import unsupported_reason
from ..datasets.config_datasets import Split, dataset_class, find_datasets
from ..datasets.label_checks import iter_parts
from ..hosts import host_of
from .config import load_config
from .model_checks import build_model

MIN_ITERATIONS = 2000
MIN_BATCH = 4
_VALIDATIONS = 10
_SCHEDULE = 'eca_mmdet::_base_/schedule_scratch.py'


def train_from_scratch(
    cfg: Config, num_images: Optional[int] = None, batch_size: Optional[int] = None
) -> List[str]:
    """Change a config so that it trains from random weights.

    - No weights are loaded, no stage is frozen, and the norms of the backbone are trained.
    - The last norm of each residual block starts at one instead of zero, so that blocks learn sooner.
    - Batch norm is trained, so a batch has at least ``MIN_BATCH`` images per GPU.
    - The schedule is AdamW with cosine annealing. The number of epochs is that of the config, or more where
      the dataset is so small that these are fewer than ``MIN_ITERATIONS`` iterations. A config with AdamW or
      Adam keeps its optimizer, and one that counts iterations keeps its schedule.

    Args:
        cfg: Config of a detector.
        num_images: Number of annotated training images. By default, those of the config.
        batch_size: Images per batch and GPU that the user has chosen.

    Returns:
        A line for each changed setting. They are also logged.

    Raises:
        ValueError: If the config is not one of mmdet.
    """
    if host_of(cfg).scope != 'mmdet':
        raise ValueError(
            f'--from-scratch is for detectors of mmdet, and {cfg.filename} belongs to '
            f'{host_of(cfg).title}. Use\n    --cfg-options model.backbone.init_cfg=None'
        )
    images = count_training_images(cfg) if num_images is None else num_images
    changes = [*_forget_weights(cfg), *_unfreeze(cfg)]
    changes += [] if batch_size else _set_batch(cfg)
    changes += _set_schedule(cfg, images, batch_size or cfg.train_dataloader.get('batch_size', 1))
    print_log(
        '--from-scratch trains from random weights and sets\n' + '\n'.join(f'    {line}' for line in changes)
    )
    return changes


def count_training_images(cfg: Config) -> Optional[int]:
    """Count the annotated images of the training set; ``None`` if they cannot be read."""
    total = 0
    for key, settings in find_datasets(cfg.train_dataloader.dataset, 'train_dataloader.dataset'):
        split = Split(key, settings, dataset_class(settings, key), True)
        path = Path(split.resolve_path(settings.get('ann_file') or ''))
        if unsupported_reason(split) or not path.is_file():
            return None
        total += count_annotated(read_annotations(path))
    return total


def count_annotated(content: dict) -> int:
    """Count the images with objects in an annotation file. Others are not trained on."""
    return len({item['image_id'] for item in content.get('annotations', []) if 'image_id' in item})


def _repeats(dataset: dict) -> int:
    """Return how often ``RepeatDataset`` repeats a dataset in an epoch."""
    inner = dataset.get('dataset')
    return dataset.get('times', 1) * (_repeats(inner) if isinstance(inner, dict) else 1)


def _set(node: Any, path: str, value: Any) -> List[str]:
    """Set a value, and return a line about it if it is new."""
    name = path.split('.')[-1]
    if name in node and node[name] == value:
        return []
    node[name] = value
    return [f'{path} = {value!r}']


def _forget_weights(cfg: Config) -> List[str]:
    changes = _set(cfg, 'load_from', None) if cfg.get('load_from') else []
    for path, node in iter_parts(cfg.model, 'model'):
        if node.get('pretrained'):
            changes += _set(node, f'{path}.pretrained', None)
        init = node.get('init_cfg')
        entries = init if isinstance(init, (list, tuple)) else [init]
        if any(isinstance(entry, dict) and entry.get('type') == 'Pretrained' for entry in entries):
            changes += _set(node, f'{path}.init_cfg', None)
    return changes


def _unfreeze(cfg: Config) -> List[str]:
    """Train every stage and norm of the backbone. Only settings that the backbone has are set."""
    settings: Any = cfg.model.get('backbone')
    model: Optional[nn.Module] = build_model(cfg)
    if not isinstance(settings, dict) or model is None:
        return []
    built = getattr(model, 'backbone', None)
    wanted: Dict[str, Any] = dict(frozen_stages=-1, norm_eval=False, zero_init_residual=False)
    changes: List[str] = []
    for name, value in wanted.items():
        if getattr(built, name, value) != value:
            changes += _set(settings, f'model.backbone.{name}', value)
    norm = settings.get('norm_cfg')
    if isinstance(norm, dict) and not norm.get('requires_grad', True):
        changes += _set(norm, 'model.backbone.norm_cfg.requires_grad', True)
    return changes


def _set_batch(cfg: Config) -> List[str]:
    size = cfg.train_dataloader.get('batch_size')
    if not isinstance(size, int) or size >= MIN_BATCH:
        return []
    return [
        f'{line} (was {size}: batch norm needs more images; to save memory, set it with --cfg-options)'
        for line in _set(cfg.train_dataloader, 'train_dataloader.batch_size', MIN_BATCH)
    ]


def _set_schedule(cfg: Config, images: Optional[int], batch_size: int) -> List[str]:
    iterations = cfg.train_cfg.get('max_iters')
    if iterations:  # its sampler never ends, so the number of epochs cannot be set
        return [f'the schedule is not changed: train_cfg.max_iters = {iterations}']
    epochs = cfg.train_cfg.get('max_epochs')
    epochs = epochs if isinstance(epochs, int) and epochs > 0 else 12
    reason = f'{epochs} epochs, as before'
    if images:
        per_epoch = math.ceil(images * _repeats(cfg.train_dataloader.dataset) / (batch_size * _world_size()))
        needed = math.ceil(MIN_ITERATIONS / per_epoch)
        reason = f'{per_epoch} iterations an epoch; at least {MIN_ITERATIONS} iterations'
        epochs = max(epochs, needed)
    interval = math.ceil(epochs / _VALIDATIONS)
    epochs = math.ceil(epochs / interval) * interval  # so that the last epoch is validated
    schedule = load_config(_SCHEDULE)
    for key in ('train_cfg', 'param_scheduler', *_optimizer_keys(cfg)):
        cfg[key] = schedule[key]
    cfg.train_cfg.max_epochs, cfg.train_cfg.val_interval = epochs, interval
    if cfg.get('val_dataloader') is None:
        cfg.train_cfg.pop('val_interval')
    checkpoint = cfg.setdefault('default_hooks', {}).setdefault('checkpoint', dict(type='CheckpointHook'))
    checkpoint.update(interval=interval, max_keep_ckpts=2)
    return [
        f'train_cfg.max_epochs = {epochs} ({reason})',
        f'train_cfg.val_interval = {interval}',
        f'default_hooks.checkpoint.interval = {interval}; the last 2 checkpoints are kept',
        f'optim_wrapper.optimizer = {_describe_optimizer(cfg)}',
        'param_scheduler = warm-up and cosine annealing to zero',
    ]


def _optimizer_keys(cfg: Config) -> Tuple[str, ...]:
    """Return the settings of the optimizer to replace: none if it is AdamW or Adam already."""
    optimizer = cfg.optim_wrapper.get('optimizer') or {}
    return () if str(optimizer.get('type')).startswith('Adam') else ('optim_wrapper', 'auto_scale_lr')


def _describe_optimizer(cfg: Config) -> str:
    optimizer, scaling = cfg.optim_wrapper.optimizer, cfg.get('auto_scale_lr') or {}
    base = f' for a batch of {scaling["base_batch_size"]}' if scaling.get('enable') else ''
    return f'{optimizer.type}, lr {optimizer.lr}{base}'


def _world_size() -> int:
    """Return the number of processes, before or after a launcher has connected them."""
    return max(get_dist_info()[1], int(os.environ.get('WORLD_SIZE', 1)))
