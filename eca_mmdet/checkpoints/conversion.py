"""Convert a backbone of any family, and define the result of a conversion."""

from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Optional, Tuple

import torch
from torch import Tensor, nn

from ..backbones.family import Family, SourceFormat
from ..backbones.kernel_sizes import KernelSizes
from ..layers import ECALayer
from ..meta_device import build_on_meta
from .find_weights import Found, require_finite
from .fit import fit_tensors
from .rename import rename


class DetectorInfo(NamedTuple):
    """The properties of a detector that are read from its tensors and metadata."""

    config: str  # one of CONFIG_NAMES
    num_classes: int
    classes: Tuple[str, ...]  # empty if the file has no names


class Conversion(NamedTuple):
    """A converted backbone or detector, with a record of the changes."""

    source: str  # the recognised format, in words
    backbone: Dict[str, Any]  # the config of the backbone
    state_dict: Dict[str, Tensor]
    renamed: List[Tuple[str, str]]
    dropped: List[str]
    added: List[str]
    network: str  # the backbone in words
    classifier: Mapping[str, Tensor] = MappingProxyType({})  # of an image classifier
    detector: Optional[DetectorInfo] = None  # for a whole detector


def convert_backbone(
    family: Family, source: SourceFormat, found: Found, eca_kernel_sizes: KernelSizes = None
) -> Conversion:
    """Convert a checkpoint of a known format to a backbone of its family.

    Args:
        family: The family of the backbone.
        source: The format of the checkpoint.
        found: The weights of the checkpoint, which are not changed.
        eca_kernel_sizes: Kernel sizes of the ECA layers to add to a network without attention, in
            any form that the backbone accepts; ``None`` for the defaults of its depth.

    Returns:
        The conversion. Its state_dict loads strictly into its backbone.

    Raises:
        ValueError: If the tensors are not a whole network of this family. The message names the first
            that are missing, unexpected or of another shape.
    """
    require_finite(found.tensors)
    names = rename(found.tensors, source.table)
    state_dict = {new: found.tensors[old] for old, new in names.items()}
    classifier = {name: state_dict.pop(name) for name in family.classifier if name in state_dict}
    foreign = family.foreign_layer(state_dict)
    if foreign:
        raise ValueError(
            f'its blocks have {foreign!r}, which is none of the supported attentions: '
            f'{", ".join(family.attentions)}'
        )
    backbone = dict(type=family.name, **family.read_arguments(state_dict, eca_kernel_sizes))
    model = build_on_meta(backbone)
    has_attention = any(f'.{name}.' in key for key in state_dict for name in family.attentions)
    eca = {} if has_attention else _initial_eca(model)
    state_dict.update(eca)
    expected = model.state_dict()
    network = family.describe(backbone)
    counters = fit_tensors(state_dict, expected, network)
    renamed = [(found.names[old], new) for old, new in names.items() if found.names[old] != new]
    return Conversion(
        source.title,
        backbone,
        {key: state_dict[key] for key in expected},
        renamed,
        found.dropped,
        [*eca, *counters],
        network,
        classifier,
    )


def _initial_eca(model: nn.Module) -> Dict[str, Tensor]:
    """Return the initial weights of the ECA layers, with a fixed seed."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, ECALayer)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {
            f'{name}.conv.weight': ECALayer(kernel_size=layer.kernel_size).conv.weight.detach()
            for name, layer in layers.items()
        }
