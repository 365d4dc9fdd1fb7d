"""Find the weights in a checkpoint, whatever wrote it.

The tensors may be at the top level or in a container, their names may have the prefix of a wrapper, and
there may be counters among them. Everything that loads a checkpoint uses ``find_weights``: the converter,
``load_backbone``, ``load_detector``, the checks before a run and mmengine (``mmengine_loading.py``).
"""

from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

from torch import Tensor, strided

from .rename import plain_names

CONTAINERS = (
    'state_dict', 'model', 'model_state_dict', 'net', 'module',
    'state_dict_ema', 'model_ema', 'ema', 'ema_state_dict',
)  # fmt: skip
"""Entries in which training scripts save weights, directly or one level deeper."""

_THOP_COUNTERS = ('total_ops', 'total_params')
_AVERAGE_COUNTERS = ('n_averaged', 'steps')  # in the averaged models of torch and mmengine
_VERSIONS = {'mmengine_version', 'mmcv_version', 'mmdet_version'}


class Found(NamedTuple):
    """The weights of a checkpoint and its other entries."""

    tensors: Dict[str, Tensor]  # by name, without wrapper prefixes
    names: Dict[str, str]  # name in `tensors` to name in the file
    container: str = ''  # the entry with the weights, such as 'ema.module'; '' for the top level
    other_entries: Mapping[str, Any] = {}  # the other entries of the file
    counters: Tuple[str, ...] = ()  # entries among the tensors that are not weights
    extra: Mapping[str, Any] = {}  # saved by `get_extra_state` of modules
    unused: Tuple[str, ...] = ()  # other containers

    @property
    def meta(self) -> Mapping[str, Any]:
        """The metadata of the file; empty if it has none."""
        meta = self.other_entries.get('meta')
        return meta if isinstance(meta, dict) else {}

    @property
    def dropped(self) -> List[str]:
        """The entries that a conversion leaves out, for its report."""
        counters = f'{len(self.counters)} counters ({self.counters[0]}, ...)' if self.counters else ''
        return [*self.other_entries, *filter(None, [counters]), *self.extra]

    def describe(self) -> str:
        """Say which container was used and which were not."""
        place = f"under '{self.container}'" if self.container else 'at the top'
        if not self.unused:
            return place
        note = f'{place}, not those under {", ".join(map(repr, self.unused))}'
        if self.container == 'state_dict' and 'ema_state_dict' in self.unused:
            note += ' (mmengine saves the averaged weights under state_dict, the others under ema_state_dict)'
        return note


def find_weights(checkpoint: Any, weights: Optional[str] = None) -> Found:
    """Find the weights of a checkpoint.

    Args:
        checkpoint: The content of a file, or a result of this function, which is returned unchanged.
        weights: The container to use, such as ``'model_ema'``, if there are several.

    Returns:
        The tensors and the other entries of the file. The prefixes ``module.`` and ``_orig_mod.`` (a
        compiled module) are removed, and ``model.`` if all names start with it.

    Raises:
        ValueError: If there are no weights, if there are several containers and ``weights`` is not
            given, if an entry is not a named tensor, or if two tensors would have the same name.
    """
    if isinstance(checkpoint, Found):
        return checkpoint
    if not isinstance(checkpoint, dict):
        raise ValueError(f'a checkpoint is a dict of tensors, this file holds a {type(checkpoint).__name__}')
    containers = _find_containers(checkpoint)
    container, entries = _choose_entry(checkpoint, containers, weights)
    counters = _find_counters(entries)
    values = {key: value for key, value in entries.items() if key not in counters}
    extra = {
        key: value for key, value in values.items() if isinstance(key, str) and key.endswith('_extra_state')
    }
    _require_tensors({key: value for key, value in values.items() if key not in extra}, checkpoint)
    # In mmengine's files, `model.` is not a wrapper but may be a part of the model.
    plain = plain_names(values, strip_model=not _is_from_openmmlab(checkpoint))
    top = container.split('.')[0]
    return Found(
        tensors={plain[key]: value for key, value in values.items() if key not in extra},
        names={plain[key]: key for key in values},
        container=container,
        other_entries={str(key): value for key, value in checkpoint.items() if key != top}
        if container
        else {},
        counters=tuple(counters),
        extra={plain[key]: value for key, value in extra.items()},
        unused=tuple(path for path in containers if path != container),
    )


def require_finite(tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors with NaN or infinity. This reads all values.

    Raises:
        ValueError: If there are such tensors; the message names the first five.
    """
    broken = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ValueError(f'these tensors hold NaN or infinity, the file is damaged: {broken[:5]}')


def _find_containers(entries: Mapping[str, Any], depth: int = 2) -> Dict[str, Dict[str, Any]]:
    """Find the entries with a known name that hold tensors, by path."""
    found: Dict[str, Dict[str, Any]] = {}
    for name in CONTAINERS:
        value = entries.get(name)
        if not isinstance(value, dict):
            continue
        deeper = _find_containers(value, depth - 1) if depth > 1 else {}
        if deeper:
            found.update({f'{name}.{inner}': tensors for inner, tensors in deeper.items()})
        elif _holds_tensors(value):
            found[name] = value
    return found


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(entry, Tensor) for entry in value.values())


def _choose_entry(
    checkpoint: Dict[str, Any], containers: Dict[str, Dict[str, Any]], weights: Optional[str]
) -> Tuple[str, Dict[str, Any]]:
    """Return path and content of the entry to use."""
    if weights is not None:
        return _select_entry(checkpoint, weights)
    if 'state_dict' in containers and (_is_from_openmmlab(checkpoint) or _is_from_ema_hook(checkpoint)):
        return 'state_dict', containers['state_dict']  # what mmengine itself loads
    if len(containers) > 1:
        raise ValueError(
            f'the file holds weights under {", ".join(map(repr, containers))}, and it is unclear which to '
            f'use. To choose, convert it with --weights {list(containers)[-1]} (in Python '
            f'weights={list(containers)[-1]!r}), or save that entry alone'
        )
    if not containers:
        return '', checkpoint
    path = next(iter(containers))
    loose = _find_loose_tensors(checkpoint, path)
    if loose:
        raise ValueError(
            f'the file holds weights under {path!r} and outside it ({", ".join(map(repr, loose[:2]))}), and '
            f'it is unclear which to use. To choose, convert it with --weights {path} (in Python '
            f'weights={path!r}), or save the others alone'
        )
    return path, containers[path]


def _find_loose_tensors(entries: Mapping[str, Any], path: str) -> List[str]:
    """Find tensors of layers that are not inside the given container."""
    loose: List[str] = []
    for part in path.split('.'):
        loose += [key for key, value in entries.items() if isinstance(value, Tensor) and '.' in str(key)]
        entries = entries[part]
    return loose


def _select_entry(checkpoint: Dict[str, Any], weights: str) -> Tuple[str, Dict[str, Any]]:
    entry: Any = checkpoint
    for part in weights.split('.'):
        entry = entry.get(part) if isinstance(entry, dict) else None
    deeper = _find_containers(entry, 1) if isinstance(entry, dict) else {}
    if len(deeper) == 1:
        name, entry = next(iter(deeper.items()))
        return f'{weights}.{name}', entry
    if deeper or not _holds_tensors(entry):
        known = [f'{weights}.{name}' for name in deeper]
        known = known or [*_find_containers(checkpoint), *_find_other_entries(checkpoint)]
        place = ', '.join(known) or 'its tensors at the top'
        raise ValueError(f'weights={weights!r}: no such entry with tensors; the file has {place}')
    return weights, entry


def _find_other_entries(entries: Mapping[str, Any], above: str = '') -> List[str]:
    """Find entries that hold only tensors and are not among ``CONTAINERS``, by path."""
    found: List[str] = []
    for key, value in entries.items():
        if not isinstance(key, str) or '.' in key or not isinstance(value, dict):
            continue
        if _holds_tensors(value) and all(isinstance(entry, Tensor) for entry in value.values()):
            found += [f'{above}{key}'] if above or key not in CONTAINERS else []
        elif not above:
            found += _find_other_entries(value, f'{key}.')
    return found


def _is_from_openmmlab(checkpoint: Dict[str, Any]) -> bool:
    meta = checkpoint.get('meta')
    return isinstance(meta, dict) and not _VERSIONS.isdisjoint(meta)


def _is_from_ema_hook(checkpoint: Dict[str, Any]) -> bool:
    """Whether mmengine's ``EMAHook`` wrote ``state_dict`` and ``ema_state_dict``."""
    averaged = checkpoint.get('ema_state_dict')
    if not isinstance(averaged, dict) or not isinstance(checkpoint.get('state_dict'), dict):
        return False
    return set(averaged) == {'steps', *(f'module.{name}' for name in checkpoint['state_dict'])}


def _find_counters(entries: Mapping[str, Any]) -> List[str]:
    """Find the counters that thop and averaged models store among the weights."""
    single = [key for key, v in entries.items() if isinstance(v, Tensor) and v.numel() == 1]
    counters = [key for key in single if str(key).split('.')[-1] in _THOP_COUNTERS]
    averages = [key for key in single if key in _AVERAGE_COUNTERS]
    others = [key for key in entries if key not in counters and key not in averages]
    if averages and others and all(str(key).startswith('module.') for key in others):
        counters += averages
    return counters


def _require_tensors(values: Mapping[str, Any], checkpoint: Dict[str, Any]) -> None:
    wrong = [key for key, v in values.items() if not isinstance(key, str) or not isinstance(v, Tensor)]
    if wrong or not values:
        others = _find_other_entries(checkpoint)
        raise ValueError(
            f'no state_dict found: expected tensors by name, at the top or under {", ".join(CONTAINERS)}; '
            f'found {wrong[:5] or "nothing"}'
            + (f'; there are tensors under {others}: to convert one, pass --weights NAME' if others else '')
        )
    odd = [key for key, value in values.items() if not _is_plain(value)]
    if odd:
        raise ValueError(
            f'these are sparse or quantized, or show more values than the file holds: {odd[:5]}; '
            'save them as ordinary tensors'
        )


def _is_plain(value: Tensor) -> bool:
    if value.layout != strided or value.is_quantized or value.is_meta:
        return False
    return value.nbytes <= value.untyped_storage().nbytes()
