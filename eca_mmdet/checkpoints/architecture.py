"""Reads the arguments of ``ECAResNet`` from the shapes of a checkpoint's tensors.

Nothing that a file says about itself is used. What leaves no trace in the tensors cannot be read:
where the strides are (``style``), dilations, and the blur of timm's ``resnetblur`` and ``resnetaa``.
"""

import re
from typing import Any, Dict, List, Mapping, Tuple

from torch import Tensor

from ..backbones import VARIANTS, ECAResNet
from ..backbones.kernel_sizes import KernelSizes, stage_kernel_sizes
from ..backbones.variants import PRUNED_WIDTHS
from ..backbones.weights import checkpoint_kernel_sizes
from ..layers import RELEASED_KERNEL_SIZES

OWN_SIZES = 'this file has ECA weights, whose kernel sizes are theirs: leave --eca-kernel-sizes out'
_MOST_BLOCKS = 500  # in a stage; the deepest known has 48


def read_arguments(tensors: Mapping[str, Tensor], eca_kernel_sizes: KernelSizes = None) -> Dict[str, Any]:
    """Arguments of the ``ECAResNet`` that these tensors belong to.

    Args:
        tensors: The backbone's tensors under mmdet's names.
        eca_kernel_sizes: Sizes for a plain ResNet; ``None`` for those of the depth.

    Returns:
        ``depth``, ``eca_kernel_sizes`` and what differs from the usual network of this depth.

    Raises:
        ValueError: If this is not a ResNet of four stages, the sizes differ within a stage, or
            sizes are asked for where the file has its own.
    """
    bottleneck = 'layer1.0.conv3.weight' in tensors
    blocks = _blocks(tensors, bottleneck)
    depth = _depth(blocks, bottleneck)
    arguments = dict(depth=depth, eca_kernel_sizes=_kernel_sizes(tensors, depth, eca_kernel_sizes))
    if blocks != ECAResNet.arch_settings[depth][1]:
        arguments['stage_blocks'] = blocks
    arguments.update(_stem(tensors))
    if 'layer2.0.downsample.2.weight' in tensors:
        arguments['avg_down'] = True
    if bottleneck:
        arguments.update(_widths(tensors, blocks))
    return arguments


def describe(backbone: Mapping[str, Any]) -> str:
    """A backbone's config in words."""
    sizes = ''.join(map(str, backbone['eca_kernel_sizes']))
    own = {**backbone, 'eca_kernel_sizes': sizes}
    for name, variant in VARIANTS.items():
        if own == dict(type='ECAResNet', **variant):
            return f'ECA-ResNet-{backbone["depth"]} (timm {name}), kernel sizes {sizes}'
    usual = ('type', 'depth', 'eca_kernel_sizes')
    extras = [
        f'{key}={"..." if key == "block_widths" else value}' for key, value in own.items() if key not in usual
    ]
    return f'ECA-ResNet-{backbone["depth"]}, kernel sizes {", ".join([sizes, *extras])}'


def _blocks(tensors: Mapping[str, Tensor], bottleneck: bool) -> Tuple[int, ...]:
    found = {m.groups() for m in map(re.compile(r'layer(\d+)\.(\d+)\.').match, tensors) if m}
    blocks = tuple(sum(stage == str(i + 1) for stage, _ in found) for i in range(4))
    if min(blocks) == 0 or max(blocks) > _MOST_BLOCKS:
        kind = 'bottleneck' if bottleneck else 'basic'
        raise ValueError(
            f'not a ResNet of four stages: it has {blocks} {kind} blocks in layer1 to layer4; '
            f'its names start like {sorted(tensors)[:3]}'
        )
    return blocks


def _depth(blocks: Tuple[int, ...], bottleneck: bool) -> int:
    """The depth with these blocks, or the common one that ``stage_blocks`` can turn into it."""
    for depth, (block, usual) in ECAResNet.arch_settings.items():
        if usual == blocks and (block.expansion == 4) == bottleneck:
            return depth
    return 50 if bottleneck else 18


def _kernel_sizes(tensors: Mapping[str, Tensor], depth: int, asked: KernelSizes) -> List[int]:
    found = checkpoint_kernel_sizes(tensors)
    if not found:
        channels = [64 * 2**i * ECAResNet.arch_settings[depth][0].expansion for i in range(4)]
        return list(stage_kernel_sizes(asked, channels, RELEASED_KERNEL_SIZES[depth]))
    if any(len(sizes) != 1 for sizes in found.values()) or sorted(found) != [0, 1, 2, 3]:
        raise ValueError(f'ECA kernel sizes must be one per stage, this file has {found} (by stage, from 0)')
    if asked is not None:
        raise ValueError(OWN_SIZES)
    return [sizes[0] for sizes in found.values()]


def _stem(tensors: Mapping[str, Tensor]) -> Dict[str, Any]:
    if 'stem.0.weight' not in tensors:
        width = _shape(tensors, 'conv1.weight')[0]
        return {} if width == 64 else dict(stem_channels=width)
    widths = tuple(_shape(tensors, f'stem.{index}.weight')[0] for index in (0, 3, 6))
    if widths == (32, 32, 64):
        return dict(deep_stem=True)
    return dict(deep_stem=True, stem_channels=widths)


def _widths(tensors: Mapping[str, Tensor], blocks: Tuple[int, ...]) -> Dict[str, Any]:
    """Groups of a ResNeXt, or the widths of a network that has its own."""
    width, inner = _shape(tensors, 'layer1.0.conv2.weight')[:2]
    groups = width // inner
    if groups > 1:
        return (
            dict(groups=groups) if width // groups == 4 else dict(groups=groups, base_width=width // groups)
        )
    widths = tuple(
        tuple(
            tuple(_shape(tensors, f'layer{stage}.{block}.conv{i}.weight')[0] for i in (1, 2, 3))
            for block in range(count)
        )
        for stage, count in enumerate(blocks, 1)
    )
    if all(
        set(stage) == {(planes, planes, 4 * planes)} for stage, planes in zip(widths, (64, 128, 256, 512))
    ):
        return {}
    named = [name for name, known in PRUNED_WIDTHS.items() if known == widths]
    return dict(block_widths=named[0] if named else widths)


def _shape(tensors: Mapping[str, Tensor], name: str) -> Tuple[int, ...]:
    if name not in tensors:
        raise ValueError(f"the file does not fit a ResNet: missing ['{name}']; is it the whole backbone?")
    shape = tuple(tensors[name].shape)
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f'{name} has shape {shape}, but is the weight of a 2D convolution in a ResNet')
    return shape
