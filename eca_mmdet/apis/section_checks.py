"""Check the sections and single values of a config, before anything is built."""

import logging
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config


def check_sections(cfg: Config, mode: str) -> None:
    """Check that a config has the sections that a run of this mode needs.

    Raises:
        ValueError: If a section is missing or is not a dict.
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
            f'{cfg.filename} has no {", ".join(missing)}. To {mode}, a config needs {", ".join(needed)}. '
            "Inherit them from base configs, such as _base_ = ['eca_mmdet::_base_/schedule_1x.py']"
        )
    for name in needed:
        if not isinstance(cfg[name], (dict, list, tuple) if name.endswith('evaluator') else dict):
            raise ValueError(f'{name} is {cfg[name]!r} in {cfg.filename}, not a dict(...)')
        if name.endswith('dataloader') and not isinstance(cfg[name].get('dataset'), dict):
            raise ValueError(
                f'{name}.dataset is {cfg[name].get("dataset")!r} in {cfg.filename}, not a dict(...)'
            )


def check_log_level(cfg: Config) -> None:
    """Check ``log_level``, which mmengine does not check if a logger of the same name exists.

    Raises:
        ValueError: If Python's logging has no such level.
    """
    level = cfg.get('log_level', 'INFO')
    if isinstance(level, int) or isinstance(logging.getLevelName(level), int):
        return
    raise ValueError(f'log_level={level!r}: allowed are DEBUG, INFO, WARNING, ERROR and CRITICAL')


def check_auto_scale_lr(cfg: Config) -> None:
    """Check ``auto_scale_lr``, which mmengine reads when the training starts.

    Raises:
        ValueError: If scaling is enabled without a base batch size to divide by.
    """
    scaling = cfg.get('auto_scale_lr')
    if scaling is None or (isinstance(scaling, dict) and not scaling.get('enable', False)):
        return
    if not isinstance(scaling, dict):
        raise ValueError(f'auto_scale_lr is {scaling!r}, not a dict(enable=True, base_batch_size=16)')
    size: Any = scaling.get('base_batch_size')
    try:
        is_valid = float(size) != 0
    except (TypeError, ValueError):
        is_valid = False
    if not is_valid:
        raise ValueError(
            f'auto_scale_lr.base_batch_size is {size!r}, but must be a positive number: the batch size for '
            'which the learning rate was chosen. To turn off scaling, use --no-auto-scale-lr'
        )


def check_work_dir(path: str) -> None:
    """Check that a work directory can be created or written to.

    Raises:
        FileExistsError: If it is a file or a broken symbolic link.
        PermissionError: If no files can be created in it.
    """
    folder = Path(path).absolute()
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f'work directory {path} is a file. Name a folder with --work-dir')
    if folder.is_symlink() and not folder.exists():
        raise FileExistsError(
            f'work directory {path} is a broken symbolic link. Name another folder with --work-dir'
        )
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    try:
        with TemporaryDirectory(dir=existing):  # permissions do not tell, for example in /proc
            pass
    except OSError as error:
        raise PermissionError(
            f'cannot write to the work directory {path}: {existing}: {error.strerror}. '
            'Name another folder with --work-dir'
        ) from None
