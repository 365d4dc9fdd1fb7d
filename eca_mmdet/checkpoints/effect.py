"""Which tensors of a model a state dict fills: predicted before loading, verified after it.

mmengine loads non-strictly: what does not fit is left at its initial value. The prediction runs
mmengine's own loading on a copy of the model without values, so that whatever the model's classes do
while they load (rename, reshape, refuse) is part of it.
"""

from collections import OrderedDict
from copy import deepcopy
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from .find_weights import plain_names

COUNTER = 'num_batches_tracked'
"""Batch norm's counter, which torch < 0.4.1 did not save and mmengine does not miss."""


class LoadedWeightsError(ValueError):
    """A checkpoint did not do to a model what the run needs."""


class Effect(NamedTuple):
    """What loading a state dict does to a model."""

    expected: Dict[str, Tensor]  # the model's name to the value it has after loading
    initial: List[str]  # names of the model that keep their values
    shape_mismatches: List[str]  # those of them that the file has in another shape, with both shapes
    tensors: Mapping[str, Tensor]  # what is loaded

    @property
    def size(self) -> int:
        """Number of tensors of the model."""
        return len(self.expected) + len(self.initial)

    @property
    def num_loaded(self) -> int:
        """Number of tensors of the file that end up in the model."""
        return len(self.tensors) - len(self.unused)

    @property
    def unused(self) -> List[str]:
        """Names of the file whose tensors do not end up in the model."""
        used = {value.data_ptr() for value in self.expected.values()}
        return [name for name, value in self.tensors.items() if value.data_ptr() not in used]

    def describe(self, path: object) -> str:
        """Say in one line how much of a file the model took."""
        complete = self.size == self.num_loaded == len(self.tensors)
        whole = '' if complete else f'; the model has {self.size}'
        return f'{self.num_loaded} of {len(self.tensors)} tensors of {path} took effect{whole}.'


def predict(model: nn.Module, tensors: Mapping[str, Tensor]) -> Optional[Effect]:
    """Find what loading will do to a model.

    Args:
        model: The model; neither its values nor its structure is changed.
        tensors: The state dict, under the names of the model.

    Returns:
        The effect, or ``None`` where the model cannot be loaded without memory.

    Raises:
        ValueError: If the model refuses the tensors.
    """
    try:
        copy = _without_values(model)
        before = copy.state_dict(keep_vars=True)
        source: Any = OrderedDict(tensors)  # torch reads its attribute `_metadata`
        saved = getattr(tensors, '_metadata', {})
        source._metadata = {
            name: {**saved.get(name, {}), 'assign_to_params_buffers': True}
            for name, _ in copy.named_modules()
        }
        load_state_dict(copy, source, strict=False, logger='silent')
    except (NotImplementedError, RuntimeError, TypeError):
        return None
    after = {k: v for k, v in copy.state_dict(keep_vars=True).items() if isinstance(v, Tensor)}
    from_file = {value.data_ptr() for value in tensors.values()}
    filled = {
        name: value.detach()
        for name, value in after.items()
        if value is not before[name] and (COUNTER not in name or value.data_ptr() in from_file)
    }
    initial = [name for name in after if name not in filled]
    shape_mismatches = [
        f'{name}: {tuple(tensors[name].shape)} in the file, {tuple(after[name].shape)} in the model'
        for name in initial
        if name in tensors and tensors[name].shape != after[name].shape
    ]
    return Effect(filled, initial, shape_mismatches, tensors)


def verify(model: nn.Module, effect: Effect, path: object) -> str:
    """Compare a loaded model with what was predicted.

    Returns:
        How much of the file took effect, in one line.

    Raises:
        LoadedWeightsError: If a tensor of the model does not hold the file's values.
    """
    own = model.state_dict()
    wrong = [name for name, value in effect.expected.items() if not _holds(own.get(name), value)]
    if wrong:
        raise LoadedWeightsError(
            f'{len(wrong)} of the {len(effect.expected)} tensors that {path} should fill do not hold its '
            f'values after loading: {wrong[:5]}; does a hook of the config change the model?'
        )
    return effect.describe(path)


def rename_for(model: nn.Module, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Give plain names back what the model's own have: ``_orig_mod.`` of a compiled part, ``model.``."""
    own = {plain: name for name, plain in plain_names(model.state_dict()).items()}
    if all(plain == name for plain, name in own.items()):
        return tensors
    return OrderedDict((own.get(name, name), value) for name, value in tensors.items())


def groups(names: List[str], everything: List[str]) -> List[str]:
    """Describe names by the largest parts of a model that they are all of.

    Args:
        names: The names to describe.
        everything: All names of the model.

    Returns:
        Parts, each with its number of tensors, such as ``'roi_head.bbox_head.fc_cls (2)'``.
    """
    chosen, found = set(names), []
    rest = list(names)
    while rest:
        parts = rest[0].split('.')
        for depth in range(1, len(parts) + 1):
            part = '.'.join(parts[:depth])
            below = [name for name in everything if f'{name}.'.startswith(f'{part}.')]
            if chosen.issuperset(below):
                break
        found.append(f'{part} ({len(below)})' if below != [part] else part)
        rest = [name for name in rest if not f'{name}.'.startswith(f'{part}.')]
    return found


def _without_values(model: nn.Module) -> nn.Module:
    """Copy a model with all tensors on the meta device."""
    memo: Dict[int, Tensor] = {}
    for value in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(value, device='meta')
        memo[id(value)] = (
            nn.Parameter(empty, value.requires_grad) if isinstance(value, nn.Parameter) else empty
        )
    return deepcopy(model, memo)


def _holds(own: Optional[Tensor], value: Tensor) -> bool:
    if own is None or own.shape != value.shape:
        return False
    value = value.to(own.device, own.dtype)
    return bool(((own == value) | ((own != own) & (value != value))).all())
