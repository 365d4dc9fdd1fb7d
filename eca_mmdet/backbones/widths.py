"""Change the widths of the convolutions in stems and blocks, for tiered stems and pruned networks.

mmdet builds the network with its usual widths. Convolutions and norms of another width are then
replaced before mmdet initialises the weights.
"""

from typing import Any, Iterable, Optional, Sequence, Tuple, Union

from mmdet.models.backbones.resnet import Bottleneck
from torch import nn

from .variants import PRUNED_WIDTHS

BlockWidths = Union[str, Sequence[Sequence[Sequence[int]]]]


def check_stage_blocks(blocks: Optional[Sequence[int]], num_stages: int) -> Optional[Tuple[int, ...]]:
    """Check ``stage_blocks`` and return it as a tuple.

    Raises:
        ValueError: If it has fewer entries than stages, or an entry is not a positive integer.
    """
    if blocks is None:
        return None
    if len(blocks) < num_stages or not all(isinstance(n, int) and n > 0 for n in blocks):
        raise ValueError(
            f'stage_blocks={blocks!r} must have one positive integer for each of {num_stages} stages'
        )
    return tuple(blocks)


def stem_widths(stem_channels: Any, deep_stem: bool) -> Optional[Tuple[int, int, int]]:
    """Return the three widths of a deep stem, or ``None`` if ``stem_channels`` is not a sequence.

    Raises:
        ValueError: If a sequence does not have three positive integers, or the stem is not deep.
    """
    if stem_channels is None or isinstance(stem_channels, int):
        return None
    widths = tuple(stem_channels)
    if not deep_stem or len(widths) != 3 or not all(isinstance(n, int) and n > 0 for n in widths):
        raise ValueError(
            f'stem_channels={stem_channels!r}: allowed are one integer or, with deep_stem=True, the output '
            'channels of the three convolutions, such as (24, 32, 64)'
        )
    return widths


def check_block_widths(
    widths: Optional[BlockWidths], stage_blocks: Sequence[int], attention: Union[str, dict, None]
) -> Optional[Sequence[Sequence[Sequence[int]]]]:
    """Check ``block_widths`` and replace a name by its widths.

    Raises:
        ValueError: If the name is unknown, a block does not have three positive integers, the blocks
            of a stage have different output channels, or the attention is neither ECA nor none.
    """
    if widths is None:
        return None
    if isinstance(widths, str):
        if widths not in PRUNED_WIDTHS:
            raise ValueError(
                f'block_widths={widths!r}: allowed names are {", ".join(PRUNED_WIDTHS)}; for other networks '
                'give three integers per block: (((47, 18, 19), (52, 22, 19), ...), ...)'
            )
        widths = PRUNED_WIDTHS[widths]
    if attention not in ('eca', 'none', None):
        raise ValueError(f"block_widths needs attention='eca' or 'none', got {attention!r}")
    found = [len(stage) for stage in widths]
    if found != list(stage_blocks[: len(found)]):
        raise ValueError(
            f'block_widths has {found} blocks in its stages, but the network has {tuple(stage_blocks)}'
        )
    for number, stage in enumerate(widths, 1):
        if any(len(block) != 3 or min(block) < 1 for block in stage) or len({b[2] for b in stage}) != 1:
            raise ValueError(
                f'block_widths of layer{number} must have three positive integers per block, and the same '
                f'last integer in all of its blocks, got {stage!r}'
            )
    return widths


def resize_stem(stem: nn.Sequential, widths: Sequence[int]) -> None:
    """Set the output channels of the three convolutions in mmdet's deep stem."""
    in_channels: Any = stem[0].in_channels
    for index, width in zip((0, 3, 6), widths):
        stem[index] = _resize_convolution(stem[index], in_channels, width)
        stem[index + 1] = _resize_norm(stem[index + 1], width)
        in_channels = width


def resize_blocks(stage: Iterable[Bottleneck], inplanes: int, widths: Sequence[Sequence[int]]) -> None:
    """Set the output channels of the three convolutions in each bottleneck of a stage."""
    for block, block_widths in zip(stage, widths):
        in_channels = inplanes
        for number, width in enumerate(block_widths, 1):
            conv_name, norm_name = f'conv{number}', getattr(block, f'norm{number}_name')
            setattr(block, conv_name, _resize_convolution(getattr(block, conv_name), in_channels, width))
            setattr(block, norm_name, _resize_norm(getattr(block, norm_name), width))
            in_channels = width
        if block.downsample is not None:  # optional pooling, then convolution and norm
            block.downsample[-2] = _resize_convolution(block.downsample[-2], inplanes, in_channels)
            block.downsample[-1] = _resize_norm(block.downsample[-1], in_channels)
        inplanes = in_channels


def _resize_convolution(old: nn.Module, in_channels: int, out_channels: int) -> nn.Conv2d:
    if type(old) is not nn.Conv2d or old.groups != 1:
        raise ValueError(f'stem_channels and block_widths need plain convolutions, got {old}')
    options = {name: getattr(old, name) for name in ('kernel_size', 'stride', 'padding', 'dilation')}
    return nn.Conv2d(in_channels, out_channels, bias=old.bias is not None, **options)


def _resize_norm(old: nn.Module, channels: int) -> nn.Module:
    if not isinstance(old, nn.modules.batchnorm._BatchNorm):
        raise ValueError(f'stem_channels and block_widths need batch norm, got {old}')
    new = type(old)(channels, eps=old.eps, momentum=old.momentum)
    for new_parameter, old_parameter in zip(new.parameters(), old.parameters()):
        new_parameter.requires_grad = old_parameter.requires_grad  # norm_cfg=dict(requires_grad=False)
    return new
