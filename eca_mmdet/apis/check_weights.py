"""Check the weights that a run starts from before building anything slow."""

import logging
from pathlib import Path
from typing import Any, Dict, Iterator, Mapping, Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..backbones.checked_weights import CheckedWeights
from ..checkpoints.effect import Effect, predict
from ..checkpoints.find_weights import find_weights, require_finite
from ..checkpoints.io import prefix_errors, read_checkpoint
from ..checkpoints.latest import NEEDED, read_meta
from ..checkpoints.mmengine_loading import is_remote, select_prefix
from ..checkpoints.starting_point import require_backbone, require_start, require_whole
from ..environment import tool
from ..hosts import host_of
from ..layers import attention_config
from ..meta_device import build_on_meta
from .options import resume_from, type_name
from .resumed_config import check_changes, explain_mismatch
from .task import task_of

ECA_WEIGHTS_HELP = (
    '  to get it:\n'
    '      {get} {name}\n'
    '  or, with a downloaded official ECANet ImageNet checkpoint (links in docs/checkpoints.md):\n'
    '      {tool} DOWNLOADED {path}\n'
)
OTHER_WEIGHTS_HELP = (
    '  it should hold a ResNet with this attention, trained on ImageNet, with the names of this backbone\n'
    '  to start from a plain ResNet instead, the attention untrained:\n'
    '      --cfg-options {key}.init_cfg.checkpoint=torchvision://resnet{depth} {key}.frozen_stages=0\n'
)
DETECTOR_FROM_SCRATCH_HELP = '  to train from scratch on purpose:\n      --from-scratch'
FROM_SCRATCH_HELP = (
    '  to train from scratch on purpose:\n'
    '      --cfg-options {key}.init_cfg=None {key}.frozen_stages=-1 {key}.norm_eval=False'
)

HOOKS = ('SafeResumeHook', 'LoadedWeightsHook')
"""Hooks that load checkpoints safely and verify which tensors they filled."""


def add_weights_hooks(cfg: Config) -> None:
    """Add the ``HOOKS`` that a config does not list."""
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
    if mode == 'train' and cfg.get('resume') and not cfg.get('load_from'):
        resume_from(cfg, 'auto')
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
    """Check that a checkpoint fills a config's whole model with finite values.

    mmengine loads non-strictly: a missing tensor keeps its random value.

    Args:
        cfg: The config. Its model is built on the meta device.
        path: The checkpoint of a whole model. A remote checkpoint is not checked before loading.

    Returns:
        The entries of the checkpoint other than its weights; empty if it is remote.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not a checkpoint, or if a tensor is missing, of another shape or not finite.
    """
    if is_remote(path):
        _warn_not_checked(path, 'it is not on this machine')
        return {}
    with prefix_errors(path):
        found = find_weights(read_checkpoint(path))
        effect = _predict_effect(cfg, found.tensors, path)
        if effect:
            require_whole(effect, path)
    return dict(found.other_entries)


def _check_start(cfg: Config, path: str) -> None:
    """Check a checkpoint that training starts from."""
    if is_remote(path):
        _warn_not_checked(path, 'it is not on this machine')
        return
    with prefix_errors(path):
        effect = _predict_effect(cfg, find_weights(read_checkpoint(path)).tensors, path)
        initial = require_start(effect, path) if effect else ''
    if initial:
        print_log(initial, level=logging.WARNING)


def _check_resume(cfg: Config) -> None:
    """Check that a checkpoint to resume fits the whole model and has the training state."""
    path = cfg.get('load_from')
    if not path:
        print_log(f'Nothing to resume in {cfg.work_dir}: training starts at the beginning.', level=30)
        return
    try:
        entries = check_fits(cfg, path)
    except ValueError as error:
        raise ValueError(f'{error}{explain_mismatch(cfg, read_meta(path))}') from None
    absent = set(NEEDED) - set(entries)
    if absent and not is_remote(path):
        raise ValueError(
            f'{path} holds weights but no training to resume ({", ".join(sorted(absent))} missing); to start '
            f'a new training from its weights: --cfg-options load_from={path}'
        )
    task_of(cfg).check_checkpoint(cfg, 'train', entries.get('meta'), path)
    check_changes(cfg, entries, path)


def _predict_effect(cfg: Config, tensors: Mapping[str, Tensor], path: str) -> Optional[Effect]:
    """Predict the effect of loading tensors into a config's model; ``None`` if that is not possible."""
    require_finite(tensors)
    model = _try_build_on_meta(cfg.model, cfg.get('default_scope') or 'mmdet')
    effect = predict(model, tensors) if model else None
    if effect is None:
        _warn_not_checked(path, 'the model cannot be built on the meta device')
    return effect


def _try_build_on_meta(node: dict, scope: str) -> Optional[nn.Module]:
    try:
        return build_on_meta(node, scope)
    except (NotImplementedError, RuntimeError):
        return None


def _warn_not_checked(path: str, reason: str) -> None:
    print_log(
        f'{path} was not checked before the start ({reason}). It is verified after loading.',
        level=logging.WARNING,
    )


def _is_file(path: str) -> bool:
    return Path(path).expanduser().is_file()


def _find_pretrained(node: Any, key: str) -> Iterator[tuple]:
    """Find every part with a pretrained checkpoint: its key, its config and the ``Pretrained`` config."""
    if isinstance(node, (list, tuple)):
        for index, value in enumerate(node):
            yield from _find_pretrained(value, f'{key}.{index}')
    if not isinstance(node, dict):
        return
    init = node.get('init_cfg')
    for entry in init if isinstance(init, (list, tuple)) else [init]:
        if isinstance(entry, dict) and entry.get('type') == 'Pretrained':
            yield key, node, entry
    for name, value in node.items():
        if name != 'init_cfg':
            yield from _find_pretrained(value, f'{key}.{name}')


def _check_pretrained(cfg: Config) -> None:
    resumes = cfg.get('resume') and cfg.get('load_from')
    for key, node, init in list(_find_pretrained(cfg.model, 'model')):
        path = init['checkpoint']
        if resumes:
            node['init_cfg'] = None  # the resumed checkpoint holds these weights
        elif is_remote(path):
            continue
        elif not _is_file(path):
            raise FileNotFoundError(
                f'weights {path} of {key}: no such file\n'
                + _weights_help(node, host_of(cfg).scope).format(
                    path=path,
                    key=key,
                    depth=node.get('depth'),
                    name=Path(path).stem,
                    get=tool('get_weights.py'),
                    tool=tool('convert_weights.py'),
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
            'stages stay random. To train from scratch, add model.backbone.frozen_stages=-1 '
            'model.backbone.norm_eval=False.',
            level=logging.WARNING,
        )


def _is_ours(node: dict) -> bool:
    """Whether a part of a config is a backbone of this package."""
    kind = node.get('type')
    kind = MODELS.get(kind) if isinstance(kind, str) else kind
    return isinstance(kind, type) and issubclass(kind, CheckedWeights)


def _weights_help(backbone: dict, scope: str) -> str:
    is_eca = attention_config(backbone.get('attention', 'eca')) == attention_config('eca')
    from_scratch = DETECTOR_FROM_SCRATCH_HELP if scope == 'mmdet' else FROM_SCRATCH_HELP
    return (ECA_WEIGHTS_HELP if is_eca else OTHER_WEIGHTS_HELP) + from_scratch


def _check_backbone_file(backbone: dict, init: dict) -> None:
    """Refuse a checkpoint of a backbone that loading would refuse later."""
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
