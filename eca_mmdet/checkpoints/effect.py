"""Predict which tensors of a model a state_dict fills, and verify it after loading.

mmengine loads non-strictly: tensors that do not fit keep their initial values. The prediction runs
mmengine's own loading on a copy of the model on the meta device. It therefore includes everything that
the model's classes do while loading, such as renaming, reshaping or refusing tensors.
"""

from collections import OrderedDict
from copy import deepcopy
from typing import Any, Dict, List, Mapping, NamedTuple, Optional

import torch
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from .rename import plain_names

COUNTER = 'num_batches_tracked'
"""Batch norm's counter. torch before 0.4.1 did not save it, and mmengine does not require it."""


class LoadedWeightsError(ValueError):
    """A checkpoint does not fill the parts of a model that the run needs."""


class Effect(NamedTuple):
    """The effect of loading a state_dict into a model."""

    expected: Dict[str, Tensor]  # values after loading, by the model's names
    initial: List[str]  # names in the model that keep their initial values
    shape_mismatches: List[str]  # the names in `initial` with another shape in the file, with both shapes
    tensors: Mapping[str, Tensor]  # the loaded state_dict

    @property
    def size(self) -> int:
        """Number of tensors in the model."""
        return len(self.expected) + len(self.initial)

    @property
    def num_loaded(self) -> int:
        """Number of tensors from the file that end up in the model."""
        return len(self.tensors) - len(self.unused)

    @property
    def unused(self) -> List[str]:
        """Names in the file whose tensors do not end up in the model."""
        used = {value.data_ptr() for value in self.expected.values()}
        return [name for name, value in self.tensors.items() if value.data_ptr() not in used]

    def describe(self, path: object) -> str:
        """Summarise in one line how many tensors of a file took effect."""
        complete = self.size == self.num_loaded == len(self.tensors)
        whole = '' if complete else f'; the model has {self.size}'
        return f'{self.num_loaded} of {len(self.tensors)} tensors of {path} took effect{whole}.'


def predict(model: nn.Module, tensors: Mapping[str, Tensor]) -> Optional[Effect]:
    """Predict the effect of loading a state_dict into a model.

    Args:
        model: The model, which is not changed.
        tensors: The state_dict, with the names of the model.

    Returns:
        The effect, or ``None`` if loading does not work on the meta device.

    Raises:
        ValueError: If the model refuses the tensors.
    """
    try:
        copy = _copy_to_meta(model)
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
    """Check that a loaded model has the predicted values.

    Returns:
        One line that says how many tensors of the file took effect.

    Raises:
        LoadedWeightsError: If a tensor of the model does not have the value from the file.
    """
    own = model.state_dict()
    wrong = [name for name, value in effect.expected.items() if not _has_equal_values(own.get(name), value)]
    if wrong:
        raise LoadedWeightsError(
            f'{len(wrong)} of the {len(effect.expected)} tensors that {path} should fill do not hold its '
            f'values after loading: {wrong[:5]}. Check whether a hook of the config changes the model'
        )
    return effect.describe(path)


def rename_for(model: nn.Module, tensors: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Restore the prefixes that the model's own names have, such as ``_orig_mod.`` of a compiled part."""
    own = {plain: name for name, plain in plain_names(model.state_dict()).items()}
    if all(plain == name for plain, name in own.items()):
        return tensors
    return OrderedDict((own.get(name, name), value) for name, value in tensors.items())


def group_names(names: List[str], everything: List[str]) -> List[str]:
    """Summarise tensor names by the largest model parts that they cover completely.

    Args:
        names: The names to summarise.
        everything: All names in the model.

    Returns:
        Parts with their number of tensors, such as ``'roi_head.bbox_head.fc_cls (2)'``.
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


def _copy_to_meta(model: nn.Module) -> nn.Module:
    """Copy a model to the meta device."""
    memo: Dict[int, Tensor] = {}
    for value in (*model.parameters(), *model.buffers()):
        empty = torch.empty_like(value, device='meta')
        memo[id(value)] = (
            nn.Parameter(empty, value.requires_grad) if isinstance(value, nn.Parameter) else empty
        )
    return deepcopy(model, memo)


def _has_equal_values(own: Optional[Tensor], value: Tensor) -> bool:
    if own is None or own.shape != value.shape:
        return False
    value = value.to(own.device, own.dtype)
    return bool(((own == value) | ((own != own) & (value != value))).all())
