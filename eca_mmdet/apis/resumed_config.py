"""Compare the config of a resumed run with the config that its checkpoint contains."""

import logging
from typing import Any, Dict, Iterator, List, Mapping, Tuple

from mmengine.config import Config
from mmengine.logging import print_log

from ..checkpoints.embedded_config import read_config_text
from ..engine.schedule_replay import iterations_into_epoch

_NOT_ARCHITECTURE = ('init_cfg', 'pretrained', 'train_cfg', 'test_cfg', 'data_preprocessor')
_MISSING = 'not set'


def model_changes(cfg: Config, meta: Mapping[str, Any]) -> List[str]:
    """List the settings of the model that differ from those of a checkpoint, with both values."""
    old = _flat(_saved_config(meta).get('model') or {})
    if not old:
        return []
    return [_both(f'model.{name}', *values) for name, values in _changes(old, _flat(cfg.model))]


def check_changes(cfg: Config, entries: Mapping[str, Any], path: str) -> None:
    """Log what differs from the run that saved a checkpoint, and refuse what cannot go on.

    Args:
        cfg: The config of the resumed run.
        entries: The entries of the checkpoint other than its weights.
        path: The checkpoint, for messages.

    Raises:
        ValueError: If the batch size differs and the checkpoint is from the middle of an epoch.
    """
    meta: Mapping[str, Any] = entries.get('meta') or {}
    old = _saved_config(meta)
    if not old:
        return
    changes = [('train_dataloader.batch_size', 'the epochs have another length'),
               ('optim_wrapper.optimizer.type', 'the optimizer is that of the config'),
               ('optim_wrapper.optimizer.lr', 'the rate is that of the config')]  # fmt: skip
    for name, effect in changes:
        before, now = _lookup(old, name), _lookup(cfg, name)
        if before == now or _MISSING in (before, now):
            continue
        text = _both(name, before, now)
        if name.endswith('batch_size') and _is_within_epoch(cfg, entries):
            raise ValueError(
                f'{path} is from the middle of an epoch, which cannot go on with another batch size: {text}. '
                f'Finish the epoch with the old one: --cfg-options {name}={before}'
            )
        print_log(f'Unlike in {path}: {text}; {effect}.', level=logging.WARNING)
    differences = model_changes(cfg, meta)
    if differences:
        print_log(f'Unlike in {path}: {_join(differences)}.', level=logging.WARNING)


def explain_mismatch(cfg: Config, meta: Mapping[str, Any]) -> str:
    """Return the settings of the model that explain why a checkpoint does not fit; empty if unknown."""
    differences = model_changes(cfg, meta)
    return f'. Settings that differ: {_join(differences)}' if differences else ''


def _is_within_epoch(cfg: Config, entries: Mapping[str, Any]) -> bool:
    loop = cfg.get('train_cfg') or {}
    is_by_epoch = loop.get('by_epoch', 'Epoch' in str(loop.get('type')))
    return bool(is_by_epoch and iterations_into_epoch(dict(entries)))


def _saved_config(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    try:
        return read_config_text(meta.get('cfg'))
    except ValueError:
        return {}


def _lookup(node: Any, name: str) -> Any:
    for part in name.split('.'):
        if not hasattr(node, 'get') or node.get(part) is None:
            return _MISSING
        node = node.get(part)
    return node


def _flat(node: Any, path: str = '') -> Dict[str, Any]:
    """Map dotted names to the values of a nested dict. Lists are values."""
    if not isinstance(node, dict):
        return {path: _plain(node)}
    flat: Dict[str, Any] = {}
    for key, value in node.items():
        if key not in _NOT_ARCHITECTURE and not str(key).startswith('loss'):
            flat.update(_flat(value, f'{path}.{key}' if path else str(key)))
    return flat


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _changes(old: Dict[str, Any], new: Dict[str, Any]) -> Iterator[Tuple[str, Tuple[Any, Any]]]:
    for name in {**old, **new}:
        before, now = old.get(name, _MISSING), new.get(name, _MISSING)
        if before != now and str(before).split('.')[-1] != str(now).split('.')[-1]:
            yield name, (before, now)


def _both(name: str, before: Any, now: Any) -> str:
    return f'{name} is {before} in the checkpoint and {now} in the config'


def _join(texts: List[str]) -> str:
    more = f'; and {len(texts) - 5} more' if len(texts) > 5 else ''
    return '; '.join(texts[:5]) + more
