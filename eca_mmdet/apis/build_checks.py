"""Check the parts of a config by building them without data, or by checking their arguments.

The same errors would otherwise appear in the run, after the data has been loaded.
"""

import inspect
import logging
from copy import deepcopy
from typing import Any, List, Optional, Tuple

from mmengine.config import Config
from mmengine.dataset import BaseDataset, DefaultSampler
from mmengine.hooks import CheckpointHook
from mmengine.logging import print_log
from mmengine.optim import DefaultOptimWrapperConstructor, OptimWrapper, build_optim_wrapper
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LOOPS,
    METRICS,
    OPTIM_WRAPPER_CONSTRUCTORS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    Registry,
)
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop, Runner, TestLoop, ValLoop
from torch import nn

from ..datasets.config_datasets import find_datasets, resolve_type
from ..datasets.label_checks import iter_parts
from .task import Task

SETTING_ERRORS = (AssertionError, KeyError, TypeError, ValueError)
"""Exceptions that the host libraries, mmengine and torch raise for wrong settings."""

_SAMPLERS = ('DefaultSampler', 'InfiniteSampler', 'AspectRatioBatchSampler')


def build_error_message(key: str, error: Exception) -> str:
    """Describe a part of the config whose constructor raised an error."""
    text = error.args[0] if isinstance(error, KeyError) and error.args else error
    return f'{key} of the config cannot be built: {type(error).__name__}: {text}'


def check_parts(cfg: Config, mode: str, task: Task) -> None:
    """Check the settings of loops, data loaders, evaluators, hooks, optimizer and schedules.

    Args:
        cfg: The config of a run.
        mode: ``'train'`` or ``'test'``.
        task: The task of the config.

    Raises:
        KeyError: If a class is not registered.
        ValueError: If a class does not accept its settings.
    """
    splits = ['train', 'val'] if mode == 'train' else ['test']
    for split in splits:
        if cfg.get(f'{split}_dataloader') is None:
            continue
        _check_loop(cfg[f'{split}_cfg'], split)
        _check_loader(cfg[f'{split}_dataloader'], f'{split}_dataloader')
        evaluators = cfg.get(f'{split}_evaluator') or []
        for key, node in _iter_items([evaluators] if isinstance(evaluators, dict) else evaluators):
            _check_evaluator(node, f'{split}_evaluator.{key}', task)
    for name in ('default_hooks', 'custom_hooks'):
        for key, node in _iter_items(cfg.get(name) or {}):
            if isinstance(node, dict):
                cls = _check_arguments(HOOKS, node, f'{name}.{key}')
                if mode == 'train' and cls is CheckpointHook:
                    _check_interval(node, f'{name}.{key}')
    if mode == 'train':
        _check_schedule(cfg)


def _iter_items(node: Any) -> List[Tuple[Any, Any]]:
    return list(node.items() if isinstance(node, dict) else enumerate(node))


def _check_arguments(registry: Registry, node: dict, key: str, default: Any = None, **given: Any) -> Any:
    """Check that a class is registered and has the parameters that a config sets. Return the class."""
    settings = {name: value for name, value in node.items() if name not in ('type', '_scope_', 'priority')}
    cls = resolve_type(registry, node.get('type', default))
    if cls is None:
        raise KeyError(
            f'{key}.type is {node.get("type")!r}, but no {registry.name} of this name is registered. Check '
            'the spelling, or import your own class with custom_imports in the config'
        )
    try:
        inspect.signature(cls).bind(**{**given, **settings})
    except TypeError as error:
        raise ValueError(
            f'{key} of the config has wrong arguments for {getattr(cls, "__name__", cls)}: {error}'
        ) from None
    return cls


def _check_interval(node: dict, key: str) -> None:
    """Check the interval of a ``CheckpointHook``, which is first used at the end of an epoch."""
    interval = node.get('interval', -1)
    if not isinstance(interval, (int, float)):
        raise ValueError(
            f'{key}.interval is {interval!r}, but must be a number: of epochs, or of iterations with '
            'by_epoch=False. Use -1 to save no checkpoints in between'
        )


def _check_loop(node: dict, split: str) -> None:
    train = EpochBasedTrainLoop if node.get('by_epoch', True) else IterBasedTrainLoop
    default = dict(train=train, val=ValLoop, test=TestLoop)[split]
    settings = {name: value for name, value in node.items() if name != 'by_epoch' or 'type' in node}
    evaluator = {} if split == 'train' else dict(evaluator=None)
    _check_arguments(LOOPS, settings, f'{split}_cfg', default, runner=None, dataloader=None, **evaluator)
    for name in ('max_epochs', 'max_iters', 'val_interval'):
        value = node.get(name, 1)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or value < 1 or int(value) != value:
            raise ValueError(f'{split}_cfg.{name} is {value!r}, but must be an integer of at least 1')


def _check_loader(node: dict, key: str) -> None:
    settings = {**deepcopy(node), 'dataset': [0] * 8}
    for name, given in (('sampler', dict(dataset=None)), ('batch_sampler', dict(sampler=None, batch_size=1))):
        if isinstance(node.get(name), dict):
            cls = resolve_type(DATA_SAMPLERS, node[name].get('type'))
            # Other samplers read the dataset, which is not loaded here.
            if getattr(cls, '__name__', '') not in _SAMPLERS:
                seed = dict(seed=None) if cls and 'seed' in inspect.signature(cls).parameters else {}
                _check_arguments(DATA_SAMPLERS, node[name], f'{key}.{name}', **given, **seed)
                settings[name] = dict(type=DefaultSampler) if name == 'sampler' else None
    try:
        Runner.build_dataloader(settings)
    except SETTING_ERRORS as error:
        raise ValueError(build_error_message(key, error)) from None
    for name, wrapper in iter_parts(node['dataset'], f'{key}.dataset', ('pipeline',)):
        if 'dataset' in wrapper or 'datasets' in wrapper:
            _check_arguments(DATASETS, wrapper, name)
    for name, dataset in find_datasets(node['dataset'], f'{key}.dataset'):
        cls = _check_arguments(DATASETS, dataset, name)
        if isinstance(cls, type) and issubclass(cls, BaseDataset):
            try:
                DATASETS.build({**deepcopy(dataset), 'lazy_init': True})
            except Exception as error:  # the same code runs when the data is loaded
                raise ValueError(build_error_message(name, error)) from None


def _check_evaluator(node: dict, key: str, task: Task) -> None:
    cls = _check_arguments(METRICS, node, key)
    try:
        task.check_metric(cls, node)
    except Exception as error:  # the same code runs when the evaluator is built
        raise ValueError(build_error_message(key, error)) from None


def _check_schedule(cfg: Config) -> None:
    """Build the optimizer for a tiny model, without ``paramwise_cfg``, and the schedules."""
    optimizer_type = (cfg.optim_wrapper.get('optimizer') or {}).get('type')
    if optimizer_type and resolve_type(OPTIMIZERS, optimizer_type) is None:
        raise KeyError(
            f'optim_wrapper.optimizer.type is {optimizer_type!r}, but there is no optimizer of this '
            'name. Check the spelling'
        )
    if not optimizer_type:
        print_log('optim_wrapper was not checked: it has several optimizers', level=logging.WARNING)
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
    except SETTING_ERRORS as error:
        raise ValueError(build_error_message(key, error)) from None
    except Exception as error:
        print_log(f'{key} was not checked: {type(error).__name__}: {error}', level=logging.WARNING)
