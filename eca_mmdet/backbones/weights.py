"""Whether a state dict holds the weights of a backbone's attention, told from names and shapes."""

import logging
import re
from typing import Dict, List, Tuple

from mmengine.logging import print_log
from torch import Tensor

BlockLayers = Dict[str, Dict[str, Dict[str, Tuple[int, ...]]]]

PLAIN_BLOCK = r'[a-z]+\d\w*|downsample|\w+_conv'
"""The layers of a block without attention: conv1, bn1 (gn1, ...), conv2_offset, downsample of
ResNet; expand_conv, depthwise_conv, linear_conv of MobileNetV2."""


def checkpoint_kernel_sizes(state_dict: Dict[str, Tensor], prefix: str = '') -> Dict[int, List[int]]:
    """Read the ECA kernel sizes from a backbone's tensor shapes.

    Args:
        state_dict: Tensors named ``{prefix}layerN.M.eca.conv.weight``, of shape
            ``(1, 1, k)``; others are ignored.
        prefix: What stands before ``layerN``.

    Returns:
        Stage index (from 0) to the sorted distinct sizes of its blocks.
    """
    pattern = re.compile(re.escape(prefix) + r'layer(\d+)\.\d+\.eca\.conv\.weight')
    sizes: Dict[int, set] = {}
    for key, value in state_dict.items():
        match = pattern.fullmatch(key)
        if match and value.dim() == 3:
            sizes.setdefault(int(match[1]) - 1, set()).add(value.shape[-1])
    return {stage: sorted(sizes[stage]) for stage in sorted(sizes)}


def check_kernel_sizes(own: Dict[str, Tensor], state_dict: Dict[str, Tensor], prefix: str = '') -> None:
    """Refuse ECA weights of other kernel sizes.

    Args:
        own: The backbone's state dict.
        state_dict: The tensors to load.
        prefix: What stands before the backbone's names in it.

    Raises:
        ValueError: If a stage that has ECA in both has other sizes.
    """
    found, sizes = checkpoint_kernel_sizes(state_dict, prefix), checkpoint_kernel_sizes(own)
    if any(found[stage] != sizes[stage] for stage in found.keys() & sizes.keys()):
        raise ValueError(
            f'the checkpoint has ECA kernel sizes {_describe(found)}, this backbone was built with '
            f'{_describe(sizes)}; set eca_kernel_sizes of the backbone to those of the checkpoint'
        )


def check_block_layers(own: Dict[str, Tensor], state_dict: Dict[str, Tensor], prefix: str = '') -> None:
    """Refuse weights whose blocks hold an attention that this backbone's do not.

    Args:
        own: The backbone's state dict.
        state_dict: The tensors to load.
        prefix: What stands before the backbone's names in it.

    Raises:
        ValueError: If a block that is in both has a layer, beside those of a plain network, that
            the backbone lacks or whose tensors have other names or shapes.
    """
    theirs, ours = block_layers(state_dict, prefix), block_layers(own)
    for block in sorted(theirs.keys() & ours.keys()):
        for layer, tensors in theirs[block].items():
            if layer not in ours[block]:
                raise ValueError(
                    f'the checkpoint has the attention {_names(theirs)}, this backbone was built with '
                    f"{_names(ours)}; set the backbone's attention to that of the checkpoint, or load "
                    'weights of a plain network'
                )
            if tensors != ours[block][layer]:
                raise ValueError(
                    f'{layer!r} in {block} has the tensors {tensors} in the checkpoint, '
                    f"{ours[block][layer]} in this backbone; set the backbone's attention to that of the "
                    'checkpoint'
                )


def report_new_attention(
    own: Dict[str, Tensor], state_dict: Dict[str, Tensor], prefix: str, frozen_stages: int
) -> None:
    """Log if the attention is not in a state dict, and so starts at its initial values."""
    theirs, ours = block_layers(state_dict, prefix), block_layers(own)
    if not theirs or any(theirs.values()) or not any(ours.values()):
        return
    message, level = f'The checkpoint is of a plain network; {_names(ours)} starts untrained', logging.INFO
    if frozen_stages > 0:
        level = logging.WARNING
        message += f' and stays so in the stages that frozen_stages={frozen_stages} freezes; 0 trains all'
    print_log(f'{message}.', 'current', level)


def block_layers(state_dict: Dict[str, Tensor], prefix: str = '') -> BlockLayers:
    """Read what residual blocks hold beside the layers of a plain network.

    Args:
        state_dict: Tensors named ``{prefix}layerN.M.LAYER.TENSOR``; others are ignored.
        prefix: What stands before ``layerN``.

    Returns:
        Block (``layer1.0``) to layer (``eca``) to tensor (``conv.weight``) to shape.
    """
    pattern = re.compile(re.escape(prefix) + r'(layer\d+\.\d+)\.(\w+)\.(.+)')
    blocks: BlockLayers = {}
    for match, value in ((pattern.fullmatch(key), value) for key, value in state_dict.items()):
        if not match:
            continue
        layers = blocks.setdefault(match[1], {})
        # torch < 0.4.1 saved no batch counters
        if not re.fullmatch(PLAIN_BLOCK, match[2]) and not match[3].endswith('num_batches_tracked'):
            layers.setdefault(match[2], {})[match[3]] = tuple(value.shape)
    return blocks


def _names(blocks: BlockLayers) -> str:
    names = sorted({layer for layers in blocks.values() for layer in layers})
    return ', '.join(map(repr, names)) or 'no attention that has weights'


def _describe(sizes: Dict[int, List[int]]) -> Tuple:
    return tuple(v[0] if len(v) == 1 else tuple(v) for v in sizes.values())
