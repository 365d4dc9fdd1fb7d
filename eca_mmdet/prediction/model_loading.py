"""Build and load the model of a checkpoint, with the config in it or with a given one."""

from copy import deepcopy
from pathlib import Path
from typing import Any, Dict, Tuple

from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, DefaultScope, init_default_scope
from mmengine.runner import load_checkpoint
from torch import nn

from ..apis.check_weights import check_fits
from ..apis.load_detector import load_detector
from ..checkpoints.embedded_config import read_config_text
from ..checkpoints.find_weights import find_weights
from ..checkpoints.io import prefix_errors, read_checkpoint
from ..config_package import CONFIGS, PACKAGE
from ..datasets.config_datasets import resolve_type
from ..hosts import host_of, require_host


def find_config(name: str) -> str:
    """Return the path of a config that is given as a file or by its name."""
    if '::' in name or Path(name).expanduser().is_file():
        return name
    matches = sorted(CONFIGS.rglob(f'{Path(name).stem}.py'))
    matches = [path for path in matches if '_base_' not in path.parts]
    if len(matches) != 1:
        found = [path.relative_to(CONFIGS).as_posix() for path in matches]
        raise FileNotFoundError(
            f'{name}: no such config file, and {PACKAGE} has {found or "no config of this name"}. '
            'The configs of this project are in configs/'
        )
    return str(matches[0])


def load_checkpoint_alone(path: Path) -> Tuple[Config, nn.Module, Dict[str, Any]]:
    """Build and load the model of a checkpoint that describes itself."""
    with prefix_errors(path):
        meta = dict(find_weights(read_checkpoint(path)).meta)
        text = meta.get('cfg')
        if text is None:
            model: Any = load_detector(path)
            return model.cfg, model, dict(dataset_meta=model.dataset_meta)
        cfg = read_config_text(text)
    model, meta = load_model(cfg, path)
    return cfg, model, meta


def load_model(cfg: Config, path: Path) -> Tuple[nn.Module, Dict[str, Any]]:
    host = host_of(cfg)
    require_host(host)
    init_default_scope(host.scope)
    other_entries = check_fits(cfg, str(path))
    with DefaultScope.overwrite_default_scope(host.scope):
        settings = deepcopy(cfg.model)
        _remove_init(settings)
        model = MODELS.build(settings)
    load_checkpoint(model, str(path), map_location='cpu', logger='silent')
    meta = other_entries.get('meta')
    return model, dict(meta) if isinstance(meta, dict) else {}


def _remove_init(node: Any) -> None:
    """Remove the initialisation of all parts, which could load other files."""
    for key, value in list(node.items()) if isinstance(node, dict) else enumerate(node):
        if key == 'init_cfg':
            node[key] = None
        elif isinstance(value, (dict, list, tuple)):
            _remove_init(value)


def class_names(cfg: Config, meta: Dict[str, Any]) -> Tuple[str, ...]:
    described = meta.get('dataset_meta')
    names = described.get('classes') if isinstance(described, dict) else None
    if names is None:
        dataset = cfg.get('test_dataloader', {}).get('dataset', {})
        names = (dataset.get('metainfo') or {}).get('classes')
        kind = dataset.get('type')
        with DefaultScope.overwrite_default_scope(host_of(cfg).scope):
            cls = resolve_type(DATASETS, kind) if kind else None
        names = names or getattr(cls, 'METAINFO', {}).get('classes')
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(
            'neither the checkpoint nor the config names the classes. Set '
            'test_dataloader.dataset.metainfo=dict(classes=(...)) in the config'
        )
    return tuple(names)
