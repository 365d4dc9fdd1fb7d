"""Load the config of a run from a file and command-line options."""

import inspect
import logging
import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Callable, Iterable, Iterator, Optional

from mmengine.config import Config
from mmengine.logging import print_log
from mmengine.runner import Runner

from ..environment import is_installed
from ..hosts import HOSTS, require_host
from .dict_action import PATH_KEYS


def load_config(
    path: str, options: Optional[dict] = None, prepare: Optional[Callable[[Config], None]] = None
) -> Config:
    """Load a config and override it with options.

    Configs copy ``data_root`` into their datasets and evaluators. An option ``data_root`` also replaces these
    copies.

    Args:
        path: Config file, or ``eca_mmdet::NAME.py``.
        options: Dotted names and values, as in ``--cfg-options``.
        prepare: A function that changes the config before the options do.

    Raises:
        FileNotFoundError: If the config does not exist.
        HostError: If it inherits from a config of a host library that is not installed.
        ValueError: If the config cannot be read, or an option cannot be applied to it.
    """
    cfg = _read_config(path)
    if prepare:
        prepare(cfg)
    options = dict(options or {})
    _warn_about_unknown(cfg, options)
    if 'data_root' in options:
        options['data_root'] = _with_trailing_slash(options['data_root'])
        _replace_data_root(cfg, options['data_root'])
    _open_empty(cfg, options)
    try:
        cfg.merge_from_dict(options)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options cannot be applied to the config: {error}') from None
    return cfg


def _read_config(path: str) -> Config:
    if '::' in path:
        try:
            path = Config._get_cfg_path(path, '')[0]  # the lookup that mmengine uses for `_base_`
        except (ImportError, OSError, KeyError, ValueError, AssertionError) as error:
            raise FileNotFoundError(f'{path}: config not found: {error}') from None
    path = os.path.expanduser(path)
    if not Path(path).is_file():
        raise FileNotFoundError(f'{path}: config not found. The configs of this project are in configs/')
    try:
        return Config.fromfile(path)
    except Exception as error:  # a config is Python code, which can raise any error
        for host in HOSTS.values():
            if not is_installed(host.scope) and host.scope in str(error):
                require_host(host)
        raise ValueError(f'{path} cannot be read as a config: {type(error).__name__}: {error}') from None


def _open_empty(cfg: Config, options: dict) -> None:
    """Replace ``None`` by an empty dict where an option sets a value in it, which mmengine refuses.

    For example, ``init_cfg=None`` of a backbone that is to start from weights.
    """
    for option, value in options.items():
        *parents, last = option.split('.')
        node: Any = cfg
        for name in [*parents, *([last] if isinstance(value, dict) else [])]:
            if not isinstance(node, dict) and not isinstance(node, Config):
                break
            if name in node and node[name] is None:
                node[name] = {}
            node = node.get(name)


def _warn_about_unknown(cfg: Config, options: Iterable[str]) -> None:
    """Warn about options that have no effect, which mmengine silently adds to the config."""
    known = {
        *cfg,
        *inspect.signature(Runner.__init__).parameters,
        'custom_imports',
        'data_root',
        'exact_resume',
        'runner_type',
    }
    for option in options:
        name = option.split('.')[0]
        if name not in known:
            similar = get_close_matches(name, known, n=1)
            print_log(
                f'--cfg-options {option} has no effect: neither the config nor mmengine has an option {name}.'
                f'{f" Did you mean {similar[0]}?" if similar else ""}',
                level=logging.WARNING,
            )


def _with_trailing_slash(path: Any) -> str:
    """Return a data root to which file names can be appended. Empty for the current folder."""
    return '' if path in (None, '') else str(path).rstrip('/') + '/'


def expand_home(node: Any) -> None:
    """Expand a leading ``~`` in the paths of a config."""
    for name, value in node.items() if hasattr(node, 'items') else enumerate(node):
        if name in PATH_KEYS and isinstance(value, str):
            node[name] = os.path.expanduser(value)
        elif isinstance(value, (dict, list, tuple)):
            expand_home(value)


def _replace_data_root(cfg: Config, new: str) -> None:
    """Replace the data root of the config in its datasets and evaluators."""
    sections = [key for key in cfg if key.endswith(('dataloader', 'evaluator'))]
    roots = {root for key in sections for root in _data_roots(cfg[key])}
    old = cfg.get('data_root') or (roots.pop() if len(roots) == 1 else None)
    if not old:
        raise ValueError(
            f'data_root cannot be set: the config has no data_root, and its datasets have {sorted(roots)}. '
            'Set the data_root of each dataset instead, such as train_dataloader.dataset.data_root'
        )
    for key in sections:
        cfg[key] = _replace_root(cfg[key], old.rstrip('/'), new)


def _data_roots(node: Any) -> Iterator[str]:
    for name, value in node.items() if isinstance(node, dict) else enumerate(node or ()):
        if name == 'data_root' and isinstance(value, str):
            yield value
        elif isinstance(value, (dict, list, tuple)):
            yield from _data_roots(value)


def _replace_root(node: Any, old: str, new: str) -> Any:
    """Replace the folder ``old`` in all data roots, annotation paths and prefixes of a config node."""
    if isinstance(node, (list, tuple)):
        return type(node)(_replace_root(item, old, new) for item in node)
    if not isinstance(node, dict):
        return node
    for key, value in node.items():
        if key in ('data_root', 'ann_file', 'seg_prefix') and isinstance(value, str):
            node[key] = _replace_start(value, old, new)
        elif key == 'data_prefix' and isinstance(value, dict):
            # A relative prefix is relative to the data_root, if there is one.
            node[key] = {
                name: path
                if node.get('data_root') and not os.path.isabs(str(path))
                else _replace_start(path, old, new)
                for name, path in value.items()
            }
        else:
            node[key] = _replace_root(value, old, new)
    return node


def _replace_start(path: Any, old: str, new: str) -> Any:
    """Replace the folder ``old`` at the start of a path."""
    if isinstance(path, str) and f'{path}/'.startswith(f'{old}/'):
        return new + path[len(old) :].lstrip('/')
    return path


def set_work_dir(cfg: Config, work_dir: Optional[str], config_path: str, absolute: bool = False) -> None:
    """Set the work directory to the option, else to that of the config, else to ``work_dirs/NAME``.

    Args:
        cfg: The config to change.
        work_dir: The option.
        config_path: The file of the config, for ``NAME``.
        absolute: Whether to set an absolute path, so that the config means the same from any folder.
    """
    if work_dir:
        cfg.work_dir = str(work_dir)
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs', Path(config_path.split('::')[-1]).stem))
    cfg.work_dir = os.path.expanduser(cfg.work_dir)
    if absolute:
        cfg.work_dir = os.path.abspath(cfg.work_dir)
