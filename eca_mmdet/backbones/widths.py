"""Networks whose convolutions have widths of their own: tiered stems and pruned blocks.

mmdet builds the usual widths; what differs is exchanged by layers of the same kind, which
then get mmdet's initialisation like any other.
"""

from typing import Any, Iterable, Optional, Sequence, Tuple, Union

from mmdet.models.backbones.resnet import Bottleneck
from torch import nn

from .variants import PRUNED_WIDTHS

BlockWidths = Union[str, Sequence[Sequence[Sequence[int]]]]


def check_stage_blocks(blocks: Optional[Sequence[int]], num_stages: int) -> Optional[Tuple[int, ...]]:
    """Return the blocks per stage as a tuple.

    Raises:
        ValueError: If there is not one positive integer per stage.
    """
    if blocks is None:
        return None
    if len(blocks) < num_stages or not all(isinstance(n, int) and n > 0 for n in blocks):
        raise ValueError(
            f'stage_blocks={blocks!r}: needs one positive integer for each of {num_stages} stages'
        )
    return tuple(blocks)


def stem_widths(stem_channels: Any, deep_stem: bool) -> Optional[Tuple[int, int, int]]:
    """Return the widths of a deep stem's convolutions, or ``None`` where one number is given.

    Raises:
        ValueError: If a sequence has not three positive integers, or the stem is not deep.
    """
    if stem_channels is None or isinstance(stem_channels, int):
        return None
    widths = tuple(stem_channels)
    if not deep_stem or len(widths) != 3 or not all(isinstance(n, int) and n > 0 for n in widths):
        raise ValueError(
            f'stem_channels={stem_channels!r}: one integer, or with deep_stem=True the output channels of '
            'its three convolutions, such as (24, 32, 64)'
        )
    return widths


def check_block_widths(
    widths: Optional[BlockWidths], stage_blocks: Sequence[int], attention: Union[str, dict, None]
) -> Optional[Sequence[Sequence[Sequence[int]]]]:
    """Return the widths if they fit the blocks.

    Raises:
        ValueError: If no network has this name, a block lacks its three numbers, the blocks of a
            stage differ in their output channels, or the attention depends on the number of channels.
    """
    if widths is None:
        return None
    if isinstance(widths, str):
        if widths not in PRUNED_WIDTHS:
            raise ValueError(
                f'block_widths={widths!r}: known by name are {", ".join(PRUNED_WIDTHS)}; state others as '
                'three integers a block: (((47, 18, 19), (52, 22, 19), ...), ...)'
            )
        widths = PRUNED_WIDTHS[widths]
    if attention not in ('eca', 'none', None):
        raise ValueError(f"block_widths goes with attention='eca' or 'none', got {attention!r}")
    found = [len(stage) for stage in widths]
    if found != list(stage_blocks[: len(found)]):
        raise ValueError(f'block_widths has {found} blocks in its stages, the network {tuple(stage_blocks)}')
    for number, stage in enumerate(widths, 1):
        if any(len(block) != 3 or min(block) < 1 for block in stage) or len({b[2] for b in stage}) != 1:
            raise ValueError(
                f'block_widths of layer{number}: needs three positive integers a block, the last the same '
                f'in all blocks of the stage (they are added); got {stage!r}'
            )
    return widths


def resize_stem(stem: nn.Sequential, widths: Sequence[int]) -> None:
    """Give the three convolutions of mmdet's deep stem these output channels."""
    inner: Any = stem[0].in_channels
    for index, width in zip((0, 3, 6), widths):
        stem[index] = _convolution(stem[index], inner, width)
        stem[index + 1] = _norm(stem[index + 1], width)
        inner = width


def resize_blocks(stage: Iterable[Bottleneck], inplanes: int, widths: Sequence[Sequence[int]]) -> None:
    """Give the three convolutions of each bottleneck of a stage these output channels."""
    for block, block_widths in zip(stage, widths):
        inner = inplanes
        for number, width in enumerate(block_widths, 1):
            norm_name = getattr(block, f'norm{number}_name')
            setattr(block, f'conv{number}', _convolution(getattr(block, f'conv{number}'), inner, width))
            setattr(block, norm_name, _norm(getattr(block, norm_name), width))
            inner = width
        if block.downsample is not None:  # the last two of (pool,) convolution, norm
            block.downsample[-2] = _convolution(block.downsample[-2], inplanes, inner)
            block.downsample[-1] = _norm(block.downsample[-1], inner)
        inplanes = inner


def _convolution(old: nn.Module, inner: int, outer: int) -> nn.Conv2d:
    if type(old) is not nn.Conv2d or old.groups != 1:
        raise ValueError(f'widths of their own go with plain convolutions, not with {old}')
    options = {name: getattr(old, name) for name in ('kernel_size', 'stride', 'padding', 'dilation')}
    return nn.Conv2d(inner, outer, bias=old.bias is not None, **options)


def _norm(old: nn.Module, channels: int) -> nn.Module:
    if not isinstance(old, nn.modules.batchnorm._BatchNorm):
        raise ValueError(f'widths of their own go with batch norm, not with {old}')
    new = type(old)(channels, eps=old.eps, momentum=old.momentum)
    for parameter, like in zip(new.parameters(), old.parameters()):
        parameter.requires_grad = like.requires_grad  # norm_cfg=dict(requires_grad=False)
    return new
