"""From a config file and command-line options to the config of one run."""

from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.hub import get_config


def load_config(path: str, options: Optional[dict] = None) -> Config:
    """Read a config; ``options`` override it, and ``data_root`` reaches every data set.

    A config's ``data_root`` is copied into its data sets and evaluators when it is
    read. Overriding the name alone would change nothing, so the copies follow.

    Args:
        path: Config file, or ``eca_mmdet::NAME.py``.
        options: Dotted names and values, as ``--cfg-options`` gives them.

    Raises:
        FileNotFoundError: If there is no such config.
        ValueError: If an option does not fit the config.
    """
    if '::' not in path and not Path(path).is_file():
        raise FileNotFoundError(f'{path}: no such config; see the configs folder for those of this project')
    cfg = get_config(path) if '::' in path else Config.fromfile(path)
    old_root = cfg.get('data_root')
    options = dict(options or {})
    if 'data_root' in options:
        options['data_root'] = str(options['data_root']).rstrip('/') + '/'
    try:
        cfg.merge_from_dict(options)
    except (KeyError, TypeError) as error:
        raise ValueError(f'--cfg-options do not fit the config: {error}') from None
    if 'data_root' in options and old_root:
        for key in list(cfg):
            if key.endswith(('dataloader', 'evaluator')):
                cfg[key] = _replace_root(cfg[key], old_root, options['data_root'])
    return cfg


def _replace_root(node: Any, old: str, new: str) -> Any:
    """Replace ``old`` in the data roots and annotation files below a config node."""
    if isinstance(node, (list, tuple)):
        return type(node)(_replace_root(item, old, new) for item in node)
    if not isinstance(node, dict):
        return node
    for key, value in node.items():
        if key in ('data_root', 'ann_file') and isinstance(value, str) and value.startswith(old):
            node[key] = new + value[len(old) :]
        else:
            node[key] = _replace_root(value, old, new)
    return node


def set_work_dir(cfg: Config, work_dir: Optional[str], config_path: str) -> None:
    """Choose the work folder: the option, else the config's, else ``work_dirs/NAME``."""
    if work_dir:
        cfg.work_dir = work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs', Path(config_path.split('::')[-1]).stem))
