"""Official ECANet ImageNet checkpoints of the ResNet family, as pure functions.

Format (BangguWu/ECANet, ``main.py``): a dict with ``state_dict`` beside
``epoch``, ``arch``, ``best_prec1`` and ``optimizer``; names are torchvision's with
``module.`` in front and ``layerN.M.eca.conv.weight`` of shape ``(1, 1, k)``.
"""

import re
from typing import Any, Dict, List, NamedTuple, Tuple

import torch
from torch import Tensor

from ..backbones.eca_resnet import ECAResNet
from ..backbones.weights import checkpoint_kernel_sizes
from .io import unwrap

RENAMED = ((r'^module\.', ''),)
"""Ordered (pattern, replacement) pairs."""
CLASSIFIER = r'fc\.(weight|bias)'


class Conversion(NamedTuple):
    """A converted backbone and what was done to get it."""

    source: str  # the recognised format
    backbone: Dict[str, Any]  # config of the backbone that the tensors fit
    state_dict: Dict[str, Tensor]
    renamed: List[Tuple[str, str]]
    dropped: List[str]
    added: List[str]


def convert_official(checkpoint: Any) -> Conversion:
    """Turn an official ECA-ResNet ImageNet checkpoint into an ``ECAResNet`` backbone.

    Args:
        checkpoint: What the file holds; it is not changed.

    Returns:
        The conversion. Its state dict loads strictly into ``backbone``.

    Raises:
        ValueError: If this is not an ECA-ResNet of depth 18, 34, 50, 101 or 152,
            naming the first tensors that are missing, unexpected or misshapen.
    """
    tensors, dropped = unwrap(checkpoint)
    state_dict, renamed = {}, []
    for key, value in tensors.items():
        name = key
        for pattern, replacement in RENAMED:
            name = re.sub(pattern, replacement, name)
        if name in state_dict:
            raise ValueError(f'two tensors of the file would both be named {name!r}')
        if name != key:
            renamed.append((key, name))
        if re.fullmatch(CLASSIFIER, name):
            dropped.append(f'{name} {tuple(value.shape)}')
        else:
            state_dict[name] = value
    backbone = dict(type='ECAResNet', depth=_depth(state_dict))
    backbone['eca_kernel_sizes'] = _kernel_sizes(state_dict)
    added = _check_against_model(state_dict, backbone)
    return Conversion('official ECANet ImageNet', backbone, state_dict, renamed, dropped, added)


def _depth(state_dict: Dict[str, Tensor]) -> int:
    """Read the depth from the number of blocks per stage and their convolutions."""
    blocks = {m.groups() for m in map(re.compile(r'layer(\d+)\.(\d+)\.').match, state_dict) if m}
    counts = tuple(sum(stage == str(i + 1) for stage, _ in blocks) for i in range(4))
    expansion = 4 if 'layer1.0.conv3.weight' in state_dict else 1
    for depth, (block, layers) in ECAResNet.arch_settings.items():
        if counts == layers and block.expansion == expansion:
            return depth
    known = {depth: layers for depth, (_, layers) in ECAResNet.arch_settings.items()}
    kind = 'bottleneck' if expansion == 4 else 'basic'
    raise ValueError(
        f'not an official ECA-ResNet: it has {counts} {kind} blocks in layer1 to layer4, '
        f'known are {known}; its names start like {sorted(state_dict)[:3]}'
    )


def _kernel_sizes(state_dict: Dict[str, Tensor]) -> List[int]:
    found = checkpoint_kernel_sizes(state_dict)
    if not found:
        raise ValueError(
            'this ResNet checkpoint has no ECA weights (layer1.0.eca.conv.weight, ...): '
            'it is not an ECANet release'
        )
    if any(len(sizes) != 1 for sizes in found.values()) or sorted(found) != [0, 1, 2, 3]:
        raise ValueError(f'ECA kernel sizes must be one per stage, this file has {found} (by stage, from 0)')
    return [sizes[0] for sizes in found.values()]


def _check_against_model(state_dict: Dict[str, Tensor], backbone: Dict[str, Any]) -> List[str]:
    """Check names and shapes; fill the batch counters that torch < 0.4.1 did not save."""
    settings = {key: value for key, value in backbone.items() if key != 'type'}
    with torch.device('meta'):
        expected = ECAResNet(**settings).state_dict()
    added = [k for k in expected if k not in state_dict and k.endswith('num_batches_tracked')]
    state_dict.update((key, torch.tensor(0)) for key in added)
    missing = [key for key in expected if key not in state_dict]
    unexpected = [key for key in state_dict if key not in expected]
    misshapen = [
        f'{key} {tuple(state_dict[key].shape)} instead of {tuple(expected[key].shape)}'
        for key in expected
        if key in state_dict and state_dict[key].shape != expected[key].shape
    ]
    if missing or unexpected or misshapen:
        raise ValueError(
            f'the file looks like ECA-ResNet-{backbone["depth"]} but does not fit it: '
            f'missing {missing[:5]}, unexpected {unexpected[:5]}, shapes {misshapen[:5]}'
        )
    return added
