"""Follow a run: the report that every run writes, TensorBoard, and Weights & Biases."""

import netrc
import os
from pathlib import Path
from typing import Any, List

from mmengine.config import Config
from mmengine.logging import print_log

from ..environment import is_installed
from .options import type_name
from .task import task_of

_REPORT = 'ReportHook'
_LOCAL = dict(type='LocalVisBackend')


def add_report(cfg: Config) -> None:
    """Add the hook that writes ``report.html`` into the work directory, if the config does not list it."""
    hooks = list(cfg.get('custom_hooks') or [])
    if not any(isinstance(hook, dict) and type_name(hook.get('type')) == _REPORT for hook in hooks):
        cfg.custom_hooks = [*hooks, dict(type=_REPORT)]
    task_of(cfg).add_details(cfg)


def use_tensorboard(cfg: Config) -> None:
    """Also log to TensorBoard, into ``vis_data`` of the run.

    Raises:
        ValueError: If tensorboard is not installed.
    """
    _require('tensorboard', '--tensorboard')
    _add_backend(cfg, dict(type='TensorboardVisBackend'))


def use_wandb(cfg: Config) -> None:
    """Also log to Weights & Biases. Without an API key, the files stay on this machine.

    Raises:
        ValueError: If wandb is not installed.
    """
    _require('wandb', '--wandb')
    settings = dict(project='eca_mmdet', name=Path(cfg.work_dir).resolve().name)
    if not os.environ.get('WANDB_MODE') and not _has_wandb_key():
        settings['mode'] = 'offline'
        print_log(
            'Weights & Biases has no API key (wandb login, or WANDB_API_KEY), so the run is logged offline. '
            f'To upload it later:\n    wandb sync {Path(cfg.work_dir)}/*/vis_data/wandb/offline-run-*',
            'current',
        )
    _add_backend(cfg, dict(type='WandbVisBackend', init_kwargs=settings))


def _require(package: str, option: str) -> None:
    if not is_installed(package):
        raise ValueError(f'{option} needs {package}, which is not installed:\n    pip install {package}')


def _has_wandb_key() -> bool:
    if os.environ.get('WANDB_API_KEY'):
        return True
    try:
        return any('wandb' in host for host in netrc.netrc().hosts)
    except (OSError, netrc.NetrcParseError):
        return False


def _add_backend(cfg: Config, backend: dict) -> None:
    """Add a backend to the visualizer. The local one stays, since the report reads what it writes."""
    visualizer: Any = cfg.get('visualizer') or dict(type='mmengine.Visualizer')
    backends: List[Any] = list(visualizer.get('vis_backends') or [_LOCAL])
    types = [type_name(item.get('type')) for item in backends if isinstance(item, dict)]
    if backend['type'] not in types:
        backends.append(backend)
    cfg.visualizer = {**visualizer, 'vis_backends': backends}
