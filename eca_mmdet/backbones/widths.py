"""Check the numbers of blocks and the widths of their convolutions, for tiered stems and pruned networks."""

from typing import Any, Optional, Sequence, Tuple, Union

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


def check_stem_channels(stem_channels: Any, deep_stem: bool) -> None:
    """Check ``stem_channels``.

    Raises:
        ValueError: If a sequence does not have three positive integers, or the stem is not deep.
    """
    if stem_channels is None or isinstance(stem_channels, int):
        return
    widths = tuple(stem_channels)
    if not deep_stem or len(widths) != 3 or not all(isinstance(n, int) and n > 0 for n in widths):
        raise ValueError(
            f'stem_channels={stem_channels!r}: allowed are one integer or, with deep_stem=True, the output '
            'channels of the three convolutions, such as (24, 32, 64)'
        )


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
