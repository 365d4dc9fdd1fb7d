"""The MobileNetV2 family: its checkpoint formats, and how to derive arguments from tensor shapes.

The official release (BangguWu/ECANet, ``models/eca_mobilenetv2.py``) uses torchvision's names of 2020.
``features.0`` is the stem. ``features.1`` to ``features.17`` are the blocks; the last module in the
``conv`` of a block is ECA. ``features.18`` is the last convolution and ``classifier.1`` the classifier.

Networks derived from tonylins/pytorch-mobilenet-v2 have all modules of a block in one flat sequence.
They can be converted too.
"""

import re
from typing import Any, Dict, Iterator, Mapping, NamedTuple, Tuple

from torch import Tensor

from .eca_mobilenet_v2 import ECAMobileNetV2
from .family import Family, SourceFormat, Table, TargetFormat, wrapped_format
from .kernel_sizes import HAS_ATTENTION, KernelSizes
from .weights import stage_sizes


class BlockNames(NamedTuple):
    """Official names of the modules in the ``conv`` of a block, in the order of ``BLOCK``."""

    first: Tuple[str, ...]  # for features.1, which has no expansion
    others: Tuple[str, ...]


NESTED = BlockNames(
    first=('0.0', '0.1', '1', '2', '3.conv'),
    others=('0.0', '0.1', '1.0', '1.1', '2', '3', '4.conv'),
)
FLAT = BlockNames(
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


def read_arguments(tensors: Mapping[str, Tensor], eca_kernel_sizes: KernelSizes = None) -> Dict[str, Any]:
    """Derive the arguments of an ``ECAMobileNetV2`` from the shapes of its tensors.

    Args:
        tensors: The tensors of the backbone under mmdet's names.
        eca_kernel_sizes: Must be ``None``, since the network must have ECA.

    Raises:
        ValueError: If a stage has no ECA or several kernel sizes, or if kernel sizes are given.
    """
    sizes = stage_sizes(tensors, MOBILENET_V2)
    if not sizes:
        raise ValueError(
            'no ECA weights (layer1.0.eca.conv.weight, ...): only ECA-MobileNetV2 can be converted'
        )
    if eca_kernel_sizes is not None:
        raise ValueError(HAS_ATTENTION)
    return dict(eca_kernel_sizes=sizes)


def describe(backbone: Mapping[str, Any]) -> str:
    """Describe the config of a backbone in words."""
    return f'ECA-MobileNetV2, kernel sizes {"".join(map(str, backbone["eca_kernel_sizes"]))}'


def _modules(names: BlockNames) -> Iterator[Tuple[str, str]]:
    """Yield the official name and mmdet's name of every module with tensors."""
    yield from [('features.0.0', 'conv1.conv'), ('features.0.1', 'conv1.bn')]
    blocks = [
        (f'layer{stage}.{block}', expansion)
        for stage, (expansion, _, count) in enumerate(ECAMobileNetV2.arch_settings, 1)
        for block in range(count)
    ]
    for index, (name, expansion) in enumerate(blocks, 1):
        official, ours = (names.first, BLOCK[2:]) if expansion == 1 else (names.others, BLOCK)
        yield from ((f'features.{index}.conv.{a}', f'{name}.{b}') for a, b in zip(official, ours))
    yield from [('features.18.0', 'conv2.conv'), ('features.18.1', 'conv2.bn'), ('classifier.1', 'fc')]


def _table(pairs: Iterator[Tuple[str, str]]) -> Table:
    return tuple((rf'^{re.escape(old)}\.(\w+)$', rf'{new}.\1') for old, new in pairs)


def _official(names: BlockNames) -> SourceFormat:
    return SourceFormat(
        'official-mobilenetv2',
        'official ECANet ImageNet',
        (f'features.2.conv.{names.others[-1]}.weight',),
        table=((r'^classifier\.(\w+)$', r'fc.\1'), *_table(_modules(names))),
    )


MOBILENET_V2 = Family(
    backbone=ECAMobileNetV2,
    block=r'layer(\d+)\.\d+',
    plain_layers=r'\w+_conv',
    stages=7,
    read_arguments=read_arguments,
    describe=describe,
    sources=(
        _official(NESTED),
        _official(FLAT),
        wrapped_format('layer1.0.depthwise_conv.conv.weight'),
        SourceFormat('mmdet', 'mmdet backbone', ('layer1.0.depthwise_conv.conv.weight',)),
    ),
    targets={'official': TargetFormat(_table((ours, f'module.{name}') for name, ours in _modules(NESTED)))},
    variants={'mobilenet_v2': {}},
)
