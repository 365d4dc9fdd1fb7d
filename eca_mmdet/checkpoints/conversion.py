"""What a conversion returns, and the steps that all ResNet formats share.

A format is an ordered table of ``(pattern, replacement)`` pairs that turns its names into those
of mmdet's ResNet, with the classifier as ``fc``; everything else is read from the shapes.
"""

import re
from types import MappingProxyType
from typing import Any, Dict, List, Mapping, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from ..backbones import ECAResNet
from ..backbones.kernel_sizes import KernelSizes
from ..layers import ECALayer
from .architecture import describe, read_arguments
from .find_weights import find_weights, require_finite
from .fit import fit_tensors

Table = Sequence[Tuple[str, str]]

CLASSIFIER = ('fc.weight', 'fc.bias')
_OWN_PARTS = r'layer\d+\.\d+\.(?!(?:conv\d|bn\d|eca|downsample)\.)(\w+)\.'


class Conversion(NamedTuple):
    """A converted backbone and what was done to get it."""

    source: str  # the recognised format
    backbone: Dict[str, Any]  # config of the backbone that the tensors fit
    state_dict: Dict[str, Tensor]
    renamed: List[Tuple[str, str]]
    dropped: List[str]
    added: List[str]
    network: str = ''  # the network in words
    classifier: Mapping[str, Tensor] = MappingProxyType({})  # CLASSIFIER, for formats that have one


def rename(names: Sequence[str], table: Table) -> Dict[str, str]:
    """Apply every pair of a table, in order, to every name.

    Returns:
        Old name to new name.

    Raises:
        ValueError: If two names become one.
    """
    result, taken = {}, {}
    for name in names:
        new = name
        for pattern, replacement in table:
            new = re.sub(pattern, replacement, new)
        if new in taken:
            raise ValueError(
                f'two tensors of the file, {taken[new]!r} and {name!r}, would both be named {new!r}'
            )
        result[name] = new
        taken[new] = name
    return result


def convert_resnet(
    checkpoint: Any, source: str, table: Table, eca_kernel_sizes: KernelSizes = None
) -> Conversion:
    """Turn a checkpoint of the ResNet family into an ``ECAResNet`` backbone.

    Args:
        checkpoint: What the file holds, or what ``find_weights`` found in it; it is not changed.
        source: The format in words.
        table: Pairs that give its tensors mmdet's names.
        eca_kernel_sizes: Sizes of the ECA layers to add where the file has none, in any form
            that ``ECAResNet`` takes; ``None`` for those of the depth.

    Returns:
        The conversion. Its state dict loads strictly into ``backbone``.

    Raises:
        ValueError: If the tensors are not an ECA-ResNet or a plain ResNet as a whole, naming
            the first that are missing, unexpected or of another shape.
    """
    found = find_weights(checkpoint)
    require_finite(found.tensors)
    names = rename(list(found.tensors), table)
    state_dict = {new: found.tensors[old] for old, new in names.items()}
    classifier = {name: state_dict.pop(name) for name in CLASSIFIER if name in state_dict}
    foreign = [(key, match[1]) for key in state_dict if (match := re.match(_OWN_PARTS, key))]
    if foreign:
        raise ValueError(
            f'its blocks hold {foreign[0][1]!r} ({foreign[0][0]}), which is neither ECA nor part of a plain '
            'ResNet, as in SE-ResNets: no such backbone is built from it'
        )
    backbone = dict(type='ECAResNet', **read_arguments(state_dict, eca_kernel_sizes))
    state_dict, added = _fit(state_dict, backbone)
    renamed = [(found.names[old], new) for old, new in names.items() if found.names[old] != new]
    return Conversion(
        source, backbone, state_dict, renamed, found.dropped, added, describe(backbone), classifier
    )


def _fit(state_dict: Dict[str, Tensor], backbone: Dict[str, Any]) -> Tuple[Dict[str, Tensor], List[str]]:
    """Check names and shapes; add batch counters, which torch < 0.4.1 did not save, and ECA."""
    model = _on_meta(backbone)
    expected = model.state_dict()
    eca = {} if any('.eca.' in key for key in state_dict) else _initial_eca(model)
    state_dict = {**state_dict, **eca}
    counters = fit_tensors(state_dict, expected, describe(backbone))
    return {key: state_dict[key] for key in expected}, [*eca, *counters]


def _on_meta(backbone: Dict[str, Any]) -> ECAResNet:
    with torch.device('meta'):
        return ECAResNet(**{key: value for key, value in backbone.items() if key != 'type'})


def _initial_eca(model: ECAResNet) -> Dict[str, Tensor]:
    """ECA as a new network starts with it, the same at every call."""
    layers = {name: module for name, module in model.named_modules() if isinstance(module, ECALayer)}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {
            f'{name}.conv.weight': ECALayer(kernel_size=layer.kernel_size).conv.weight.detach()
            for name, layer in layers.items()
        }
