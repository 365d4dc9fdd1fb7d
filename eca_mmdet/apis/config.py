"""From a config file and command-line options to the config of one run."""

import inspect
import logging
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Iterable, Iterator, Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from .dict_action import PATH_KEYS


def load_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config; ``options`` override it, and ``data_root`` reaches every data set.

    A config's ``data_root`` is copied into its data sets and evaluators when it is
    read. Overriding the name alone would change nothing, so the copies follow.

    Args:
        path: Config file, or ``eca_mmdet::NAME.py``.
        options: Dotted names and values, as ``--cfg-options`` gives them.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If the config cannot be read, or an option does not fit it.
    """
    cfg = _read_config(path)
    options = dict(options or {})
    _warn_of_unknown(cfg, options)
    if 'data_root' in options:
        options['data_root'] = _folder(options['data_root'])
        _move_data_root(cfg, options['data_root'])
    try:
        cfg.merge_from_dict(options)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options do not fit the config: {error}') from None
    return cfg


def _read_config(path: str) -> Config:
    if '::' in path:
        try:
            path = Config._get_cfg_path(path, '')[0]  # as a config's `_base_` is found
        except (ImportError, OSError, KeyError, ValueError, AssertionError) as error:
            raise FileNotFoundError(f'{path}: no such config: {error}') from None
    path = os.path.expanduser(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such config; see the configs folder for those of this project')
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is Python: anything can be raised in it
        raise ValueError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from None


def _warn_of_unknown(cfg: Config, options: Iterable[str]) -> None:
    """Name the options that nothing reads: mmengine adds them to the config without a word."""
    known = {
        *cfg,
        *inspect.signature(Runner.__init__).parameters,
        'custom_imports',
        'data_root',
        'runner_type',
    }
    for option in options:
        name = option.split('.')[0]
        if name not in known:
            similar = get_close_matches(name, known, n=1)
            print_log(
                f'--cfg-options {option}: the config has no {name} and mmengine reads none, so this changes '
                f'nothing{f"; did you mean {similar[0]}?" if similar else ""}',
                level=logging.WARNING,
            )


def _folder(path: Any) -> str:
    """A data root that names can be added to; empty for the current folder."""
    return '' if path in (None, '') else str(path).rstrip('/') + '/'


def expand_home(node: Any) -> None:
    """Replace a leading ``~`` in the paths of a config, as mmengine does when it loads a checkpoint."""
    for name, value in node.items() if hasattr(node, 'items') else enumerate(node):
        if name in PATH_KEYS and isinstance(value, str):
            node[name] = os.path.expanduser(value)
        elif isinstance(value, (dict, list, tuple)):
            expand_home(value)


def _move_data_root(cfg: Config, new: str) -> None:
    """Replace the config's data root in its data sets and in its evaluators' files."""
    parts = [key for key in cfg if key.endswith(('dataloader', 'evaluator'))]
    roots = {root for key in parts for root in _data_roots(cfg[key])}
    old = cfg.get('data_root') or (roots.pop() if len(roots) == 1 else None)
    if not old:
        raise ValueError(
            f'data_root cannot be set: the config has no data_root and its data sets have {sorted(roots)}; '
            'set that of each data set, such as train_dataloader.dataset.data_root'
        )
    for key in parts:
        cfg[key] = _replace_root(cfg[key], old.rstrip('/'), new)


def _data_roots(node: Any) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else enumerate(node or ()):
        if name == 'data_root' and isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list, tuple)):
            yield from _data_roots(value)


def _replace_root(node: Any, old: str, new: str) -> Any:
    """Replace the folder ``old`` in the data roots and annotation files below a config node."""
    if isinstance(node, (list, tuple)):
        return type(node)(_replace_root(item, old, new) for item in node)
    if not isinstance(node, dict):
        return node
    for key, value in node.items():
        if key in ('data_root', 'ann_file') and isinstance(value, str):
            if f'{value}/'.startswith(f'{old}/'):
                node[key] = new + value[len(old) :].lstrip('/')
        else:
            node[key] = _replace_root(value, old, new)
    return node


def set_work_dir(cfg: Config, work_dir: Optional[str], config_path: str) -> None:
    """Choose the work folder: the option, else the config's, else ``work_dirs/NAME``."""
    if work_dir:
        cfg.work_dir = str(work_dir)
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs', Path(config_path.split('::')[-1]).stem))
    cfg.work_dir = os.path.expanduser(cfg.work_dir)
