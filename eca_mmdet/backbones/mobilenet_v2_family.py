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
from .family import CLASSIFIER_TABLE, SE_ARGUMENTS, Family, SourceFormat, Table, TargetFormat, wrapped_format
from .kernel_sizes import HAS_ATTENTION, NO_ECA, KernelSizes
from .weights import se_attention, stage_sizes


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


_PLAIN = (
    'no ECA weights (layer1.0.eca.conv.weight, ...): ECA cannot be added to a plain MobileNetV2; '
    f'--eca-kernel-sizes {NO_ECA} leaves it plain'
)


def read_arguments(tensors: Mapping[str, Tensor], eca_kernel_sizes: KernelSizes = None) -> Dict[str, Any]:
    """Derive the arguments of an ``ECAMobileNetV2`` from the shapes of its tensors.

    Args:
        tensors: The tensors of the backbone under mmdet's names.
        eca_kernel_sizes: ``NO_ECA`` if the network may be plain, otherwise ``None``: ECA is not added.

    Raises:
        ValueError: If there is no attention, a stage has several kernel sizes, or kernel sizes are given.
    """
    sizes, se = stage_sizes(tensors, MOBILENET_V2), se_attention(tensors)
    if eca_kernel_sizes not in (None, NO_ECA):
        raise ValueError(HAS_ATTENTION if sizes or se else _PLAIN)
    if se:
        return dict(attention=se)
    if not sizes and eca_kernel_sizes == NO_ECA:
        return dict(attention='none')
    if not sizes:
        raise ValueError(_PLAIN)
    return dict(eca_kernel_sizes=sizes)


def describe(backbone: Mapping[str, Any]) -> str:
    """Describe the config of a backbone in words."""
    if 'attention' in backbone:
        name = 'MobileNetV2' if backbone['attention'] == 'none' else 'SE-MobileNetV2'
        return f'{name}, attention={backbone["attention"]}'
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


def _check_official(backbone: Mapping[str, Any]) -> None:
    if 'attention' in backbone:
        raise ValueError('the official format has MobileNetV2 with ECA only; use --to mmpretrain or mmdet')


MOBILENET_V2 = Family(
    backbone=ECAMobileNetV2,
    block=r'layer(\d+)\.\d+',
    plain_layers=r'\w+_conv',
    stages=7,
    read_arguments=read_arguments,
    describe=describe,
    attentions=('eca', 'se'),
    sources=(
        _official(NESTED),
        _official(FLAT),
        wrapped_format('layer1.0.depthwise_conv.conv.weight'),
        SourceFormat('mmdet', 'mmdet backbone', ('layer1.0.depthwise_conv.conv.weight',)),
    ),
    targets={
        'official': TargetFormat(
            _table((ours, f'module.{name}') for name, ours in _modules(NESTED)), _check_official
        ),
        'mmpretrain': TargetFormat(CLASSIFIER_TABLE),
    },
    variants={'mobilenet_v2': {}},
    imagenet_configs={
        'ecamobilenetv2_imagenet.py': dict(eca_kernel_sizes='1111333'),
        'semobilenetv2_imagenet.py': SE_ARGUMENTS,
        'mobilenetv2_imagenet.py': dict(attention='none'),
    },
)
