"""The ECA-ResNets of timm 1.0.31 as arguments of ``ECAResNet``.

Source: ``timm/models/resnet.py``. The widths of the two pruned networks (arXiv 2002.08258) are from
``timm/models/_pruned``. All have kernel sizes 5557, from eq. 12 of the ECA paper on the unpruned channels.
"""

from typing import List, Tuple

_AVERAGE = dict(avg_down=True, eca_kernel_sizes='5557')
_DEEP = dict(deep_stem=True, **_AVERAGE)
_TIERED = dict(stem_channels=(24, 32, 64), **_DEEP)

VARIANTS = {
    'ecaresnet26t': dict(depth=26, **_TIERED),
    'ecaresnet50t': dict(depth=50, **_TIERED),
    'ecaresnet50d': dict(depth=50, **_DEEP),
    'ecaresnet50d_pruned': dict(depth=50, block_widths='ecaresnet50d_pruned', **_DEEP),
    'ecaresnet101d': dict(depth=101, **_DEEP),
    'ecaresnet101d_pruned': dict(depth=101, block_widths='ecaresnet101d_pruned', **_DEEP),
    'ecaresnet200d': dict(depth=200, **_DEEP),
    'ecaresnet269d': dict(depth=269, **_DEEP),
    'ecaresnetlight': dict(depth=50, stage_blocks=(1, 1, 11, 3), **_AVERAGE),
    'ecaresnext26t_32x4d': dict(depth=26, groups=32, **_TIERED),
    'ecaresnext50t_32x4d': dict(depth=50, groups=32, **_TIERED),
}
"""Arguments by timm's name, as in ``dict(type='ECAResNet', **VARIANTS['ecaresnet50d'])``."""

_PRUNED = {
    'ecaresnet50d_pruned': """
        47x18 52x22 64x35 -> 19
        85x37 107x80 120x85 125x87 -> 171
        198x126 255x232 256x233 253x235 256x225 256x239 -> 818
        492x237 512x500 512x490 -> 2022""",
    'ecaresnet101d_pruned': """
        45x25 53x20 60x27 -> 26
        81x24 93x49 102x54 122x78 -> 142
        101x25 239x160 234x156 250x176 253x191 251x175 230x128 244x154 244x159 238x97 244x149 253x181
        245x119 255x216 256x201 253x149 254x141 256x190 256x217 255x156 256x155 256x232 256x214 -> 278
        499x289 512x512 512x502 -> 2042""",
}


def _parse(text: str) -> tuple:
    """Parse the stages: ``conv1 x conv2`` widths of each block, then ``->`` and their common output width."""
    stages = []
    blocks: List[Tuple[int, ...]] = []
    for word in text.replace('-> ', '->').split():
        if word.startswith('->'):
            stages.append(tuple((*block, int(word[2:])) for block in blocks))
            blocks = []
        else:
            blocks.append(tuple(map(int, word.split('x'))))
    return tuple(stages)


PRUNED_WIDTHS = {name: _parse(text) for name, text in _PRUNED.items()}
"""By name, for each stage and block: the output channels of the block's three convolutions."""
