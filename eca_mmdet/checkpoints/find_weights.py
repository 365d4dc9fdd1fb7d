"""Decides what the weights in a checkpoint are, for every way of loading it.

A file may hold its tensors at the top or under an entry, under names with a wrapper's prefix, and
with counters between them. The converter, ``load_backbone``, ``load_detector``, the checks before
a run and mmengine's own loading (``mmengine_loading.py``) all take what ``find_weights`` returns.
"""

import re
from typing import Any, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from torch import Tensor, strided

from .rename import refuse_collisions

CONTAINERS = (
    'state_dict', 'model', 'model_state_dict', 'net', 'module',
    'state_dict_ema', 'model_ema', 'ema', 'ema_state_dict',
)  # fmt: skip
"""Entries under which training scripts save weights, directly or one level deeper."""

_THOP_COUNTERS = ('total_ops', 'total_params')
_AVERAGE_COUNTERS = ('n_averaged', 'steps')  # of torch's and mmengine's averaged models
_VERSIONS = {'mmengine_version', 'mmcv_version', 'mmdet_version'}


class Found(NamedTuple):
    """The weights of a checkpoint and what else it holds."""

    tensors: Dict[str, Tensor]  # by name, without the prefixes of wrappers
    names: Dict[str, str]  # those names to the names in the file
    container: str = ''  # the entry that holds them, such as 'ema.module'; '' for the top
    other_entries: Mapping[str, Any] = {}  # the other entries of the file
    counters: Tuple[str, ...] = ()  # entries between the tensors that are no weights
    extra: Mapping[str, Any] = {}  # what modules save by `get_extra_state`
    unused: Tuple[str, ...] = ()  # further entries that hold weights

    @property
    def meta(self) -> Mapping[str, Any]:
        """What the file says about itself; empty where it has no such entry."""
        meta = self.other_entries.get('meta')
        return meta if isinstance(meta, dict) else {}

    @property
    def dropped(self) -> List[str]:
        """What a conversion leaves out, for its report."""
        counters = f'{len(self.counters)} counters ({self.counters[0]}, ...)' if self.counters else ''
        return [*self.other_entries, *filter(None, [counters]), *self.extra]

    def describe(self) -> str:
        """Say which entry was taken, and which others were not."""
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
        checkpoint: What the file holds, or what this function has found in it already.
        weights: The entry that holds them, such as ``'model_ema'``, where there are several.

    Returns:
        The tensors under names without ``module.``, ``_orig_mod.`` (a compiled module) and a
        ``model.`` in front of all names, and the rest of the file.

    Raises:
        ValueError: If there are none, there are several and ``weights`` does not choose, an entry
            is not a tensor with a name, or two tensors would have the same name.
    """
    if isinstance(checkpoint, Found):
        return checkpoint
    if not isinstance(checkpoint, dict):
        raise ValueError(f'a checkpoint is a dict of tensors, this file holds a {type(checkpoint).__name__}')
    containers = _containers(checkpoint)
    container, entries = _chosen(checkpoint, containers, weights)
    counters = _counters(entries)
    values = {key: value for key, value in entries.items() if key not in counters}
    extra = {
        key: value for key, value in values.items() if isinstance(key, str) and key.endswith('_extra_state')
    }
    _require_tensors({key: value for key, value in values.items() if key not in extra}, checkpoint)
    # The names in a file of mmengine are those of its model, which may have a part called `model`.
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
    """Refuse NaN and infinity, which reads all values.

    Raises:
        ValueError: If a tensor holds some, naming the first.
    """
    broken = [k for k, v in tensors.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ValueError(f'these tensors hold NaN or infinity, the file is damaged: {broken[:5]}')


def plain_names(names: Iterable[str], strip_model: bool = True) -> Dict[str, str]:
    """Take the prefixes of wrappers off names.

    Args:
        names: Names of tensors.
        strip_model: Whether ``model.`` goes where all names begin with it.

    Returns:
        Each name to the name without prefixes.

    Raises:
        ValueError: If two names become one.
    """
    plain = {name: re.sub(r'(?:^|(?<=\.))_orig_mod\.', '', name) for name in names}
    before = None
    while plain != before:
        before = plain
        plain = {name: re.sub(r'^(module\.)+', '', new) for name, new in plain.items()}
        if strip_model and all(re.match(r'model\..', new) for new in plain.values()):
            plain = {name: new[len('model.') :] for name, new in plain.items()}
    refuse_collisions(plain)
    return plain


def _containers(entries: Mapping[str, Any], depth: int = 2) -> Dict[str, Dict[str, Any]]:
    """All entries with a known name that hold tensors, by their path."""
    found: Dict[str, Dict[str, Any]] = {}
    for name in CONTAINERS:
        value = entries.get(name)
        if not isinstance(value, dict):
            continue
        deeper = _containers(value, depth - 1) if depth > 1 else {}
        if deeper:
            found.update({f'{name}.{inner}': tensors for inner, tensors in deeper.items()})
        elif _holds_tensors(value):
            found[name] = value
    return found


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(entry, Tensor) for entry in value.values())


def _chosen(
    checkpoint: Dict[str, Any], containers: Dict[str, Dict[str, Any]], weights: Optional[str]
) -> Tuple[str, Dict[str, Any]]:
    """Path and content of the entry to take."""
    if weights is not None:
        return _asked_for(checkpoint, weights)
    if 'state_dict' in containers and (_is_from_openmmlab(checkpoint) or _is_from_ema_hook(checkpoint)):
        return 'state_dict', containers['state_dict']  # what mmengine itself loads
    if len(containers) > 1:
        raise ValueError(
            f'the file holds weights under {", ".join(map(repr, containers))}, and only you can say which '
            f'are meant. To choose, convert it with --weights {list(containers)[-1]} (in Python '
            f'weights={list(containers)[-1]!r}), or save that entry alone'
        )
    if not containers:
        return '', checkpoint
    path = next(iter(containers))
    loose = _loose(checkpoint, path)
    if loose:
        raise ValueError(
            f'the file holds weights under {path!r} and outside it ({", ".join(map(repr, loose[:2]))}), and '
            f'only you can say which are meant. To choose, convert it with --weights {path} (in Python '
            f'weights={path!r}), or save the others alone'
        )
    return path, containers[path]


def _loose(entries: Mapping[str, Any], path: str) -> List[str]:
    """Find tensors of layers that lie outside an entry, or outside the entries that contain it."""
    loose: List[str] = []
    for part in path.split('.'):
        loose += [key for key, value in entries.items() if isinstance(value, Tensor) and '.' in str(key)]
        entries = entries[part]
    return loose


def _asked_for(checkpoint: Dict[str, Any], weights: str) -> Tuple[str, Dict[str, Any]]:
    entry: Any = checkpoint
    for part in weights.split('.'):
        entry = entry.get(part) if isinstance(entry, dict) else None
    deeper = _containers(entry, 1) if isinstance(entry, dict) else {}
    if len(deeper) == 1:
        name, entry = next(iter(deeper.items()))
        return f'{weights}.{name}', entry
    if deeper or not _holds_tensors(entry):
        known = [f'{weights}.{name}' for name in deeper] or [*_containers(checkpoint), *_others(checkpoint)]
        place = ', '.join(known) or 'its tensors at the top'
        raise ValueError(f'weights={weights!r}: no such entry with tensors; the file has {place}')
    return weights, entry


def _others(entries: Mapping[str, Any], above: str = '') -> List[str]:
    """Paths of entries that hold tensors and nothing else, besides those that are taken by their names."""
    found: List[str] = []
    for key, value in entries.items():
        if not isinstance(key, str) or '.' in key or not isinstance(value, dict):
            continue
        if _holds_tensors(value) and all(isinstance(entry, Tensor) for entry in value.values()):
            found += [f'{above}{key}'] if above or key not in CONTAINERS else []
        elif not above:
            found += _others(value, f'{key}.')
    return found


def _is_from_openmmlab(checkpoint: Dict[str, Any]) -> bool:
    meta = checkpoint.get('meta')
    return isinstance(meta, dict) and not _VERSIONS.isdisjoint(meta)


def _is_from_ema_hook(checkpoint: Dict[str, Any]) -> bool:
    """Whether ``state_dict`` and ``ema_state_dict`` are as mmengine's ``EMAHook`` writes them."""
    averaged = checkpoint.get('ema_state_dict')
    if not isinstance(averaged, dict) or not isinstance(checkpoint.get('state_dict'), dict):
        return False
    return set(averaged) == {'steps', *(f'module.{name}' for name in checkpoint['state_dict'])}


def _counters(entries: Mapping[str, Any]) -> List[str]:
    """Names of single numbers that thop and averaged models keep between the weights."""
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
        others = _others(checkpoint)
        raise ValueError(
            f'no state dict found: expected tensors by name, at the top or under {", ".join(CONTAINERS)}; '
            f'found {wrong[:5] or "nothing"}'
            + (f'; there are tensors under {others}: convert it with --weights NAME' if others else '')
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
