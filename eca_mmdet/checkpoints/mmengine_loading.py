"""Make mmengine load local checkpoints in the same way as the rest of the package.

``Runner``, ``init_cfg=dict(type='Pretrained')`` and ``mmdet.apis.init_detector`` all use mmengine's
``CheckpointLoader``. ``register_loading`` replaces its loader of local paths by ``load_from_local``. The
loaders of remote paths are unchanged.
"""

import re
from collections import OrderedDict
from typing import Any, Dict

from mmengine.logging import print_log
from mmengine.model.weight_init import PretrainedInit, update_init_info
from mmengine.registry import WEIGHT_INITIALIZERS
from mmengine.runner import CheckpointLoader
from mmengine.runner.checkpoint import load_state_dict
from torch import Tensor, nn

from ..backbones.checked_weights import CheckedWeights
from .effect import LoadedWeightsError, predict, rename_for, verify
from .find_weights import find_weights
from .io import prefix_errors, read_checkpoint
from .starting_point import require_backbone, require_start


def load_from_local(filename: str, map_location: Any = None) -> Dict[str, Any]:
    """Read a local checkpoint for mmengine, with its weights under ``state_dict``.

    Other entries are kept. ``map_location`` is ignored: the tensors stay on the CPU, and mmengine copies
    them to the model's device.
    """
    checkpoint = read_checkpoint(filename)
    with prefix_errors(filename):
        return for_mmengine(checkpoint)


def for_mmengine(checkpoint: Dict[str, Any]) -> Dict[str, Any]:
    """Move the weights of a checkpoint to ``state_dict``, where mmengine expects them.

    Raises:
        ValueError: If there are no weights, or it is unclear which to use.
    """
    found = find_weights(checkpoint)
    renamed = any(plain != name for plain, name in found.names.items())
    if found.container == 'state_dict' and not renamed and not found.counters:
        return checkpoint  # unchanged, because a copy would lose the version numbers of modules
    state_dict = OrderedDict((*found.tensors.items(), *found.extra.items()))
    ready = {**found.other_entries, 'state_dict': state_dict}
    averaged = found.other_entries.get('ema_state_dict')
    if isinstance(averaged, dict):  # EMAHook swaps these with `state_dict` by name
        plain = {f'module.{name}': f'module.{new}' for new, name in found.names.items()}
        ready['ema_state_dict'] = {plain.get(name, name): value for name, value in averaged.items()}
    return ready


def is_remote(path: str) -> bool:
    """Whether mmengine downloads the checkpoint (``https://``, ``torchvision://``, ...)."""
    return CheckpointLoader._get_checkpoint_loader(str(path)) is not load_from_local


def select_prefix(tensors: Dict[str, Tensor], prefix: str) -> Dict[str, Tensor]:
    """Select the tensors with a prefix and remove it from their names.

    Raises:
        ValueError: If no name starts with the prefix.
    """
    asked = prefix.rstrip('.') + '.'
    for start in (asked, re.sub(r'^((module|_orig_mod|model)\.)+', '', asked)):
        part = {name[len(start) :]: value for name, value in tensors.items() if name.startswith(start)}
        if part:
            return part
    raise ValueError(f'no tensor begins with prefix={prefix!r}; the names are like {sorted(tensors)[:3]}')


@WEIGHT_INITIALIZERS.register_module(name='Pretrained', force=True)
class VerifiedPretrained(PretrainedInit):
    """Replace mmengine's ``init_cfg=dict(type='Pretrained')`` and log how many tensors took effect."""

    def __call__(self, module: nn.Module) -> None:
        """Load the checkpoint into ``module``.

        Raises:
            LoadedWeightsError: If no tensor fits, if the checkpoint fills a backbone only partly (alone
                or in a detector), or if it belongs to another network.
        """
        print_log(f'load {self.prefix or "model"} from: {self.checkpoint}', logger='current')
        checkpoint = CheckpointLoader.load_checkpoint(self.checkpoint, self.map_location, logger='current')
        with prefix_errors(self.checkpoint):
            tensors = for_mmengine(checkpoint)['state_dict']
            if self.prefix is not None:
                tensors = select_prefix(tensors, self.prefix)
            tensors = rename_for(module, tensors)
            effect = predict(module, tensors)
            load_state_dict(module, tensors, strict=False, logger='current')
        if effect is None:
            print_log(f'Could not verify which tensors {self.checkpoint} filled.', 'current', level=30)
        else:
            name = type(module).__name__
            if not effect.num_loaded:
                raise LoadedWeightsError(
                    f'{self.checkpoint} fills none of the {effect.size} tensors of {name}; its names are '
                    f'like {sorted(tensors)[:3]}. Name the part to load with '
                    "init_cfg=dict(..., prefix='backbone.')"
                )
            if isinstance(module, CheckedWeights):
                require_backbone(effect, self.checkpoint, is_backbone=True)
            else:
                initial = require_start(effect, self.checkpoint)
                if initial:
                    print_log(initial, 'current', level=30)
            print_log(f'{name}: {verify(module, effect, self.checkpoint)}', 'current')
        if hasattr(module, '_params_init_info'):
            update_init_info(module, init_info=self._get_init_info())


def register_loading() -> None:
    """Make mmengine load local files with ``load_from_local``. May be called repeatedly."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
