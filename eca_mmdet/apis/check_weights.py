"""Checks of the weights that a run starts from, before anything slow is built."""

import logging
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional

from mmdet.registry import MODELS
from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor, nn

from ..backbones.checked_weights import CheckedWeights
from ..checkpoints.effect import Effect, predict
from ..checkpoints.find_weights import find_weights, require_finite
from ..checkpoints.io import prefix_errors, read_checkpoint
from ..checkpoints.mmengine_loading import is_remote, select_prefix
from ..checkpoints.starting_point import require_backbone, require_start, require_whole
from ..environment import tool
from ..layers import attention_config
from ..meta_device import build_on_meta
from .box_convention import check_box_convention
from .class_order import check_class_order
from .options import type_name

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


HOOKS = ('SafeResumeHook', 'LoadedWeightsHook')
"""Hooks that a run needs to load checkpoints safely and to verify what they filled."""


def add_weights_hooks(cfg: Config) -> None:
    """Add the hooks of ``HOOKS`` that a config does not list."""
    hooks = list(cfg.get('custom_hooks') or [])
    listed = {type_name(hook.get('type')) for hook in hooks if isinstance(hook, dict)}
    cfg.custom_hooks = [*hooks, *(dict(type=name) for name in HOOKS if name not in listed)]


def check_weights(cfg: Config, mode: str) -> None:
    """Check the checkpoints that a run starts from.

    Args:
        cfg: The config of the run.
        mode: ``'train'`` or ``'test'``.

    Raises:
        FileNotFoundError: If a checkpoint is missing.
        ValueError: If a checkpoint does not fit the config.
    """
    path = cfg.get('load_from')
    if path and not is_remote(path) and not _is_file(path):
        raise FileNotFoundError(f'checkpoint {path}: no such file')
    if mode != 'train':
        return
    if cfg.get('resume'):
        _check_resume(cfg)
    elif path:
        _check_start(cfg, path)
    _check_pretrained(cfg)


def check_fits(cfg: Config, path: str) -> Dict[str, Any]:
    """Check that a checkpoint holds every tensor of a config's model, in shape and finite.

    mmengine loads non-strictly and evaluates what is missing with random weights.

    Args:
        cfg: The config; its model is built without memory or initialisation.
        path: Checkpoint file of the whole detector. A remote one is verified only after loading.

    Returns:
        What the checkpoint holds besides its weights; empty for a remote one.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint, or a tensor is missing, of another shape, or
            not finite.
    """
    if is_remote(path):
        _say_not_checked(path, 'it is not on this machine')
        return {}
    with prefix_errors(path):
        found = find_weights(read_checkpoint(path))
        effect = _effect(cfg, found.tensors, path)
        if effect:
            require_whole(effect, path)
    return dict(found.other_entries)


def _check_start(cfg: Config, path: str) -> None:
    """What a training that starts from a file needs of it."""
    if is_remote(path):
        _say_not_checked(path, 'it is not on this machine')
        return
    with prefix_errors(path):
        effect = _effect(cfg, find_weights(read_checkpoint(path)).tensors, path)
        initial = require_start(effect, path) if effect else ''
    if initial:
        print_log(initial, level=logging.WARNING)


def _check_resume(cfg: Config) -> None:
    """A checkpoint to resume must fit the config as a whole."""
    path = cfg.get('load_from')
    if not path:
        pointer = Path(cfg.work_dir, 'last_checkpoint')
        if not pointer.is_file():
            print_log(f'Nothing to resume in {cfg.work_dir}: training starts at the beginning.', level=30)
            return
        path = pointer.read_text().strip()
        if not is_remote(path) and not _is_file(path):
            raise FileNotFoundError(f'{pointer} names {path}, which is not there; use --resume CHECKPOINT')
    entries = check_fits(cfg, path)
    absent = {'meta', 'message_hub', 'optimizer'} - set(entries)
    if absent and not is_remote(path):
        raise ValueError(
            f'{path} holds weights but no training to resume ({", ".join(sorted(absent))} missing); to start '
            f'a new training from its weights: --cfg-options load_from={path}'
        )
    check_class_order(cfg, 'train', entries.get('meta'), path)
    check_box_convention(cfg, entries.get('meta'), path)


def _effect(cfg: Config, tensors: Mapping[str, Tensor], path: str) -> Optional[Effect]:
    """What loading these tensors does to the config's model; ``None`` where it cannot be told."""
    require_finite(tensors)
    model = _build_without_memory(cfg.model, cfg.get('default_scope') or 'mmdet')
    effect = predict(model, tensors) if model else None
    if effect is None:
        _say_not_checked(path, 'the model cannot be built without memory')
    return effect


def _build_without_memory(node: dict, scope: str) -> Optional[nn.Module]:
    try:
        return build_on_meta(node, scope)
    except (NotImplementedError, RuntimeError):
        return None


def _say_not_checked(path: str, reason: str) -> None:
    print_log(
        f'{path} was not checked before the start ({reason}); what it fills is verified after loading.',
        level=logging.WARNING,
    )


def _is_file(path: str) -> bool:
    return Path(path).expanduser().is_file()


def _pretrained(node: Any, key: str) -> Iterator[tuple]:
    """Every part that starts from a checkpoint: its key, its config, the ``Pretrained`` config."""
    if isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _pretrained(value, f'{key}.{index}')
    if not isinstance(node, dict):
        return
    init = node.get('init_cfg')
    for entry in init if isinstance(init, (list, tuple)) else [init]:
        if isinstance(entry, dict) and entry.get('type') == 'Pretrained':
            yield key, node, entry
    for name, value in node.items():
        if name != 'init_cfg':
            yield from _pretrained(value, f'{key}.{name}')


def _check_pretrained(cfg: Config) -> None:
    resumes = cfg.get('resume') and (cfg.get('load_from') or Path(cfg.work_dir, 'last_checkpoint').is_file())
    for key, node, init in list(_pretrained(cfg.model, 'model')):
        path = init['checkpoint']
        if resumes:
            node['init_cfg'] = None  # the resumed checkpoint holds these weights
        elif is_remote(path):
            continue
        elif not _is_file(path):
            raise FileNotFoundError(
                f'weights {path} of {key}: no such file\n'
                + _weights_help(node).format(
                    path=path, key=key, depth=node.get('depth'), tool=tool('convert_weights.py')
                )
            )
        elif _is_ours(node):
            _check_backbone_file(node, init)
    backbone = cfg.model.get('backbone') or {}
    if (
        backbone.get('init_cfg') is None
        and backbone.get('frozen_stages', -1) >= 0
        and not cfg.get('load_from')
    ):
        print_log(
            f'The backbone has no pretrained weights and frozen_stages={backbone["frozen_stages"]}: these '
            'stages stay random. For training from scratch add model.backbone.frozen_stages=-1 '
            'model.backbone.norm_eval=False.',
            level=logging.WARNING,
        )


def _is_ours(node: dict) -> bool:
    """Whether a part of a config is a backbone that checks its weights."""
    kind = node.get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, CheckedWeights)


def _weights_help(backbone: dict) -> str:
    is_eca = attention_config(backbone.get('attention', 'eca')) == attention_config('eca')
    return (ECA_WEIGHTS_HELP if is_eca else OTHER_WEIGHTS_HELP) + FROM_SCRATCH_HELP


def _check_backbone_file(backbone: dict, init: dict) -> None:
    """What loading would refuse, before the data is read."""
    path, prefix = init['checkpoint'], init.get('prefix')
    with prefix_errors(path):
        tensors = find_weights(read_checkpoint(path)).tensors
        require_finite(tensors)
        tensors = tensors if prefix is None else select_prefix(tensors, prefix)
        model: Any = build_on_meta({**backbone, 'init_cfg': None})
        model.check_weights(tensors)
        effect = predict(model, tensors)
        if effect:
            require_backbone(effect, path, is_backbone=True)
