"""The official ECANet ImageNet checkpoint of MobileNetV2, as pure functions.

Format (BangguWu/ECANet, ``models/eca_mobilenetv2.py``): a dict with ``state_dict`` beside other
entries, names are torchvision's of 2020 with ``module.`` in front: ``features.0`` is the stem,
``features.1`` to ``features.17`` the blocks, each one ``Sequential`` ``conv`` whose last module
is ECA, ``features.18`` the last convolution, ``classifier.1`` the classifier. Networks built on
tonylins/pytorch-mobilenet-v2 have the modules of a block in one flat sequence; they are read too.
"""

import re
from typing import Any, Dict, Iterable, List, NamedTuple, Tuple

from torch import Tensor

from ..backbones import ECAMobileNetV2
from ..backbones.weights import checkpoint_kernel_sizes
from .conversion import CLASSIFIER, Conversion, Table, rename
from .find_weights import Found, find_weights, require_finite
from .fit import fit_backbone


class Layout(NamedTuple):
    """Names of the modules in a block's ``conv``, in the order of ``BLOCK``."""

    first: Tuple[str, ...]  # of features.1, which has no expansion
    others: Tuple[str, ...]


NESTED = Layout(
    first=('0.0', '0.1', '1', '2', '3.conv'),
    others=('0.0', '0.1', '1.0', '1.1', '2', '3', '4.conv'),
)
FLAT = Layout(
    first=('0', '1', '3', '4', '5.conv'),
    others=('0', '1', '3', '4', '6', '7', '8.conv'),
)
BLOCK = (
    'expand_conv.conv',
    'expand_conv.bn',
    'depthwise_conv.conv',
    'depthwise_conv.bn',
    'linear_conv.conv',
    'linear_conv.bn',
    'eca.conv',
)


def recognise_official_mobilenet(state_dict: Dict[str, Tensor]) -> bool:
    """Whether these are the names of an official ECA-MobileNetV2, with or without ``module.``."""
    return bool(_layouts({_bare(key) for key in state_dict}))


def convert_official_mobilenet(checkpoint: Any) -> Conversion:
    """Turn an official ECA-MobileNetV2 ImageNet checkpoint into an ``ECAMobileNetV2`` backbone.

    Args:
        checkpoint: What the file holds, or what ``find_weights`` found in it; it is not changed.

    Returns:
        The conversion. Its state dict loads strictly into ``backbone``, whose kernel sizes,
        one per stage, are those of the file.

    Raises:
        ValueError: If this is not an ECA-MobileNetV2 of width 1.0, naming the first tensors
            that are missing, unexpected or of another shape.
    """
    found = find_weights(checkpoint)
    layouts = _layouts(set(found.tensors))
    if not layouts:
        raise ValueError(
            'not an official ECA-MobileNetV2: it has no features.2.conv.4.conv.weight of an ECA layer; '
            f'its names start like {sorted(found.tensors)[:3]}'
        )
    names = _renamed(found.tensors, {**_modules(layouts[0]), 'classifier': 'fc'})
    return _conversion('official ECANet ImageNet', found, names)


def recognise_mobilenet(state_dict: Dict[str, Tensor]) -> bool:
    """Whether these are mmdet's names of a MobileNetV2, alone or as a ``backbone.``."""
    pattern = re.compile(r'(backbone\.)?layer\d+\.\d+\.depthwise_conv\.conv\.weight')
    return any(pattern.fullmatch(key) for key in state_dict)


def convert_mobilenet(checkpoint: Any, source: str, table: Table) -> Conversion:
    """Turn a checkpoint whose names become mmdet's into an ``ECAMobileNetV2`` backbone.

    Args:
        checkpoint: What the file holds, or what ``find_weights`` found in it; it is not changed.
        source: The format in words.
        table: Pairs that give its tensors mmdet's names, the classifier as ``fc``.

    Returns:
        The conversion. Its state dict loads strictly into ``backbone``.

    Raises:
        ValueError: If it is not one of width 1.0, naming the first tensors that do not fit.
    """
    found = find_weights(checkpoint)
    return _conversion(source, found, rename(list(found.tensors), table))


def to_official_mobilenet(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Write an ``ECAMobileNetV2`` backbone under the names of the official release.

    Args:
        state_dict: The backbone's tensors and, where it has one, the classifier as ``fc``;
            they are not copied.

    Returns:
        The same tensors in the nested layout, with ``module.`` in front.

    Raises:
        ValueError: If the tensors are not those of an ``ECAMobileNetV2`` of width 1.0.
    """
    body = {key: value for key, value in state_dict.items() if key not in CLASSIFIER}
    fit_backbone(body, dict(type='ECAMobileNetV2', eca_kernel_sizes=_kernel_sizes(body)))
    modules = {ours: f'module.{official}' for official, ours in _modules(NESTED).items()}
    return {name: state_dict[key] for key, name in _renamed(state_dict, modules).items()}


def _conversion(source: str, found: Found, names: Dict[str, str]) -> Conversion:
    """The conversion of tensors that get these names; checks that they are an ``ECAMobileNetV2``."""
    require_finite(found.tensors)
    state_dict = {new: found.tensors[old] for old, new in names.items()}
    classifier = {name: state_dict.pop(name) for name in CLASSIFIER if name in state_dict}
    backbone = dict(type='ECAMobileNetV2', eca_kernel_sizes=_kernel_sizes(state_dict))
    added = fit_backbone(state_dict, backbone)
    renamed = [(found.names[old], new) for old, new in names.items() if found.names[old] != new]
    return Conversion(
        source, backbone, state_dict, renamed, found.dropped, added, 'ECA-MobileNetV2', classifier
    )


def _layouts(names: set) -> List[Layout]:
    """The layouts that have their ECA layer at its place in the second block."""
    return [layout for layout in (NESTED, FLAT) if f'features.2.conv.{layout.others[-1]}.weight' in names]


def _modules(layout: Layout) -> Dict[str, str]:
    """Official name to our name, of every module with tensors."""
    modules = {'features.0.0': 'conv1.conv', 'features.0.1': 'conv1.bn'}
    blocks = [
        (f'layer{stage}.{block}', expansion)
        for stage, (expansion, _, count, _) in enumerate(ECAMobileNetV2.arch_settings, 1)
        for block in range(count)
    ]
    for index, (name, expansion) in enumerate(blocks, 1):
        inner, ours = (layout.first, BLOCK[2:]) if expansion == 1 else (layout.others, BLOCK)
        modules.update((f'features.{index}.conv.{a}', f'{name}.{b}') for a, b in zip(inner, ours))
    return {**modules, 'features.18.0': 'conv2.conv', 'features.18.1': 'conv2.bn', 'classifier.1': 'fc'}


def _renamed(keys: Iterable[str], modules: Dict[str, str]) -> Dict[str, str]:
    """Old to new tensor names; those of unknown modules only lose ``module.``."""
    names = {}
    for key in keys:
        module, dot, tensor = _bare(key).rpartition('.')
        names[key] = modules.get(module, module) + dot + tensor
    if len(set(names.values())) < len(names):
        twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
        raise ValueError(f'two tensors of the file would both be named {twice[0]!r}')
    return names


def _bare(key: str) -> str:
    return key.removeprefix('module.')


def _kernel_sizes(state_dict: Dict[str, Tensor]) -> List[int]:
    found = checkpoint_kernel_sizes(state_dict)
    if sorted(found) != list(range(7)) or any(len(sizes) != 1 for sizes in found.values()):
        raise ValueError(
            'ECA kernel sizes must be one for each of 7 stages of MobileNetV2, '
            f'this file has {found} (by stage, from 0)'
        )
    return [sizes[0] for sizes in found.values()]
