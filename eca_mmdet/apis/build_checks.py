"""Checks of a config's parts: each is built, or at least called for, without data, memory or weights.

What a part refuses here, it would refuse in the run, after the data was read.
"""

import inspect
import logging
import os
from copy import deepcopy
from pathlib import Path
from typing import Any, List, Optional, Tuple

from mmdet.datasets import AspectRatioBatchSampler
from mmdet.evaluation import CocoMetric
from mmdet.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
)
from mmengine.config import Config
from mmengine.dataset import BaseDataset, DefaultSampler, InfiniteSampler
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, build_optim_wrapper
from mmengine.registry import Registry
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, TestLoop, ValLoop
from torch import nn

from ..datasets.dataset_checks import find_datasets, registered
from ..datasets.label_checks import parts

MISTAKES = (AssertionError, KeyError, TypeError, ValueError)
"""What mmdet, mmengine and torch raise for wrong settings."""

_SAMPLERS = (DefaultSampler, InfiniteSampler, AspectRatioBatchSampler)


def check_sections(cfg: Config, mode: str) -> None:
    """Check that a config has what a run of this mode needs.

    Raises:
        ValueError: If a section is missing or is no dict.
    """
    needed = ['model', *(['train_dataloader', 'train_cfg', 'optim_wrapper'] if mode == 'train' else [])]
    evaluation = ['val_dataloader', 'val_cfg', 'val_evaluator']
    if mode == 'test':
        needed += [name.replace('val', 'test', 1) for name in evaluation]
    elif any(cfg.get(name) is not None for name in evaluation):
        needed += evaluation
    missing = [name for name in needed if cfg.get(name) is None]
    if missing:
        raise ValueError(
            f'{cfg.filename} has no {", ".join(missing)}: to {mode}, a config needs {", ".join(needed)}. '
            "Name base configs that define them in its _base_, such as 'eca_mmdet::_base_/schedule_1x.py'"
        )
    for name in needed:
        if not isinstance(cfg[name], (dict, list, tuple) if name.endswith('evaluator') else dict):
            raise ValueError(f'{name} is {cfg[name]!r} in {cfg.filename}, not a dict(...)')
        if name.endswith('dataloader') and not isinstance(cfg[name].get('dataset'), dict):
            raise ValueError(
                f'{name}.dataset is {cfg[name].get("dataset")!r} in {cfg.filename}, not a dict(...)'
            )


def check_log_level(cfg: Config) -> None:
    """Check the config's ``log_level``; mmengine itself does not where a logger of this name exists.

    Raises:
        ValueError: If Python's logging has no such level.
    """
    level = cfg.get('log_level', 'INFO')
    if isinstance(level, int) or isinstance(logging.getLevelName(level), int):
        return
    raise ValueError(f'log_level={level!r}: allowed are DEBUG, INFO, WARNING, ERROR and CRITICAL')


def check_work_dir(path: str) -> None:
    """Check that a work folder can be made or written to.

    Raises:
        FileExistsError: If it is a file.
        PermissionError: If it lies under a file or a folder that cannot be written.
    """
    folder = Path(path).absolute()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'work folder {path} is a file; name a folder with --work-dir')
    if folder.is_symlink() and not folder.exists():
        raise FileExistsError(
            f'work folder {path} is a symbolic link that leads to no folder; name another with --work-dir'
        )
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(
            f'cannot write to the work folder {path}: {existing} is not a folder that this user may write '
            'to; name another with --work-dir'
        )


def message(key: str, error: Exception) -> str:
    """What to say of a part of the config whose constructor raised an error."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return f'{key} of the config cannot be built: {type(error).__name__}: {text}'


def check_parts(cfg: Config, mode: str) -> None:
    """Check the settings of loops, data loaders, evaluators, hooks, optimizer and schedules.

    Args:
        cfg: The config of a run.
        mode: ``'train'`` or ``'test'``.

    Raises:
        KeyError: If there is no class of a given name.
        ValueError: If a class does not take its settings.
    """
    splits = ['train', 'val'] if mode == 'train' else ['test']
    for split in splits:
        if cfg.get(f'{split}_dataloader') is None:
            continue
        _check_loop(cfg[f'{split}_cfg'], split)
        _check_loader(cfg[f'{split}_dataloader'], f'{split}_dataloader')
        evaluators = cfg.get(f'{split}_evaluator') or []
        for key, node in _items([evaluators] if isinstance(evaluators, dict) else evaluators):
            _check_evaluator(node, f'{split}_evaluator.{key}')
    for name in ('default_hooks', 'custom_hooks'):
        for key, node in _items(cfg.get(name) or {}):
            if isinstance(node, dict):
                _check_arguments(HOOKS, node, f'{name}.{key}')
    if mode == 'train':
        _check_schedule(cfg)


def _items(node: Any) -> List[Tuple[Any, Any]]:
    return list(node.items() if isinstance(node, dict) else enumerate(node))


def _check_arguments(registry: Registry, node: dict, key: str, default: Any = None, **given: Any) -> Any:
    """Check that a class exists and has parameters of the names that a config gives; return the class."""
    settings = {name: value for name, value in node.items() if name not in ('type', '_scope_', 'priority')}
    kind = registered(registry, node.get('type', default))
    if kind is None:
        raise KeyError(
            f'{key}.type is {node.get("type")!r}: mmdet and the config register no {registry.name} so'
        )
    try:
        inspect.signature(kind).bind(**{**given, **settings})
    except TypeError as error:
        raise ValueError(
            f'{key} of the config does not fit {getattr(kind, "__name__", kind)}: {error}'
        ) from None
    return kind


def _check_loop(node: dict, split: str) -> None:
    train = EpochBasedTrainLoop if node.get('by_epoch', True) else IterBasedTrainLoop
    default = dict(train=train, val=ValLoop, test=TestLoop)[split]
    settings = {k: v for k, v in node.items() if k != 'by_epoch' or 'type' in node}
    evaluator = {} if split == 'train' else dict(evaluator=None)
    _check_arguments(LOOPS, settings, f'{split}_cfg', default, runner=None, dataloader=None, **evaluator)
    for name in ('max_epochs', 'max_iters', 'val_interval'):
        value = node.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1 or int(value) != value:
            raise ValueError(f'{split}_cfg.{name} is {value!r}: give a whole number from 1')


def _check_loader(node: dict, key: str) -> None:
    settings = {**deepcopy(node), 'dataset': [0] * 8}
    for name, given in (('sampler', dict(dataset=None)), ('batch_sampler', dict(sampler=None, batch_size=1))):
        if isinstance(node.get(name), dict):
            kind = registered(DATA_SAMPLERS, node[name].get('type'))
            if kind not in _SAMPLERS:  # others look at the data
                _check_arguments(DATA_SAMPLERS, node[name], f'{key}.{name}', **given, **_seed(kind))
                settings[name] = dict(type=DefaultSampler) if name == 'sampler' else None
    try:
        Runner.build_dataloader(settings)
    except MISTAKES as error:
        raise ValueError(message(key, error)) from None
    for name, wrapper in parts(node['dataset'], f'{key}.dataset', ('pipeline',)):
        if 'dataset' in wrapper or 'datasets' in wrapper:
            _check_arguments(DATASETS, wrapper, name)
    for name, dataset in find_datasets(node['dataset'], f'{key}.dataset'):
        kind = _check_arguments(DATASETS, dataset, name)
        if isinstance(kind, type) and issubclass(kind, BaseDataset):
            try:
                DATASETS.build({**deepcopy(dataset), 'lazy_init': True})
            except Exception as error:  # the same code runs when the data is read
                raise ValueError(message(name, error)) from None


def _seed(kind: Any) -> dict:
    return dict(seed=None) if kind and 'seed' in inspect.signature(kind).parameters else {}


def _check_evaluator(node: dict, key: str) -> None:
    kind = _check_arguments(METRICS, node, key)
    if isinstance(kind, type) and issubclass(kind, CocoMetric):
        try:
            METRICS.build({**deepcopy(node), 'ann_file': None})
        except Exception as error:  # the run builds it in the same way
            raise ValueError(message(key, error)) from None


def _check_schedule(cfg: Config) -> None:
    """Build the optimizer, of a tiny model and without rules for single parameters, and its schedules."""
    kind = (cfg.optim_wrapper.get('optimizer') or {}).get('type')
    if kind and registered(OPTIMIZERS, kind) is None:
        raise KeyError(
            f'optim_wrapper.optimizer.type is {kind!r}: torch and mmdet have no optimizer of that name'
        )
    if not kind:
        print_log('optim_wrapper was not checked: it has no single optimizer', level=logging.WARNING)
        return
    key: str = 'optim_wrapper'
    optimizer: Optional[OptimWrapper] = None
    try:
        settings = deepcopy(dict(cfg.optim_wrapper))
        constructor = settings.pop('constructor', DefaultOptimWrapperConstructor)
        rules = dict(paramwise_cfg=settings.pop('paramwise_cfg', None))
        if not isinstance(rules['paramwise_cfg'] or {}, dict):
            raise TypeError(f'paramwise_cfg is {rules["paramwise_cfg"]!r}, not a dict(...)')
        node = dict(type=constructor, optim_wrapper_cfg={}, **rules)
        _check_arguments(OPTIM_WRAPPER_CONSTRUCTORS, node, f'{key}.constructor')
        optimizer = build_optim_wrapper(nn.Linear(1, 1), settings)
        schedules = cfg.get('param_scheduler') or []
        for index, node in enumerate([schedules] if 'type' in schedules else schedules):
            key = f'param_scheduler.{index}'
            if isinstance(node, dict) and isinstance(optimizer, OptimWrapper):
                PARAM_SCHEDULERS.build(
                    deepcopy(node), default_args=dict(optimizer=optimizer, epoch_length=1000)
                )
    except MISTAKES as error:
        raise ValueError(message(key, error)) from None
    except Exception as error:
        print_log(f'{key} was not checked: {type(error).__name__}: {error}', level=logging.WARNING)
