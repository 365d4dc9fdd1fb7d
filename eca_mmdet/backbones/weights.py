"""Compare the attention in a state dict with that of a backbone, by names and shapes."""

import logging
from typing import Dict, List, Mapping, Tuple

from mmengine.logging import print_log
from torch import Tensor

from .family import Family

BlockLayers = Dict[str, Dict[str, Dict[str, Tuple[int, ...]]]]


def checkpoint_kernel_sizes(
    state_dict: Mapping[str, Tensor], family: Family, prefix: str = ''
) -> Dict[int, List[int]]:
    """Read the ECA kernel sizes of a backbone from the shapes of its tensors ``(1, 1, k)``.

    Args:
        state_dict: The tensors; those of other layers are ignored.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in the state dict.

    Returns:
        Stage index (from 0) to the sorted distinct sizes of its blocks.
    """
    sizes: Dict[int, set] = {}
    for name, value in state_dict.items():
        part = family.split(name)
        if not part or part.prefix != prefix or value.dim() != 3:
            continue
        if (part.layer, part.tensor) == (family.eca, 'conv.weight'):
            sizes.setdefault(part.stage - 1, set()).add(value.shape[-1])
    return {stage: sorted(sizes[stage]) for stage in sorted(sizes)}


def stage_sizes(state_dict: Mapping[str, Tensor], family: Family, prefix: str = '') -> List[int]:
    """Read one ECA kernel size per stage; return an empty list if there is no ECA.

    Raises:
        ValueError: If a stage has no ECA or several sizes.
    """
    found = checkpoint_kernel_sizes(state_dict, family, prefix)
    if not found:
        return []
    if any(len(sizes) != 1 for sizes in found.values()) or sorted(found) != list(range(family.stages)):
        raise ValueError(
            f'ECA kernel sizes must be one for each of {family.stages} stages, this file has {found} '
            '(by stage, from 0)'
        )
    return [sizes[0] for sizes in found.values()]


def check_kernel_sizes(
    own: Mapping[str, Tensor], state_dict: Mapping[str, Tensor], family: Family, prefix: str = ''
) -> None:
    """Refuse ECA weights of other kernel sizes.

    Args:
        own: The state dict of the backbone.
        state_dict: The tensors to load.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in ``state_dict``.

    Raises:
        ValueError: If a stage that has ECA in both has other sizes.
    """
    found, sizes = checkpoint_kernel_sizes(state_dict, family, prefix), checkpoint_kernel_sizes(own, family)
    if any(found[stage] != sizes[stage] for stage in found.keys() & sizes.keys()):
        raise ValueError(
            f'the checkpoint has ECA kernel sizes {_describe(found)}, this backbone was built with '
            f'{_describe(sizes)}; set eca_kernel_sizes of the backbone to those of the checkpoint'
        )


def check_block_layers(
    own: Mapping[str, Tensor], state_dict: Mapping[str, Tensor], family: Family, prefix: str = ''
) -> None:
    """Refuse weights whose blocks have an attention that the blocks of this backbone do not have.

    Args:
        own: The state dict of the backbone.
        state_dict: The tensors to load.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in ``state_dict``.

    Raises:
        ValueError: If the attention of a block that is in both is missing in the backbone, or has
            other tensors or shapes there.
    """
    theirs, ours = block_layers(state_dict, family, prefix), block_layers(own, family)
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
    own: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    family: Family,
    prefix: str,
    frozen_stages: int,
) -> None:
    """Log that the attention keeps its initial values if the state dict is of a plain network."""
    theirs, ours = block_layers(state_dict, family, prefix), block_layers(own, family)
    if not theirs or any(theirs.values()) or not any(ours.values()):
        return
    message, level = f'The checkpoint is of a plain network; {_names(ours)} starts untrained', logging.INFO
    if frozen_stages > 0:
        level = logging.WARNING
        message += f' and stays so in the stages that frozen_stages={frozen_stages} freezes; 0 trains all'
    print_log(f'{message}.', 'current', level)


def block_layers(state_dict: Mapping[str, Tensor], family: Family, prefix: str = '') -> BlockLayers:
    """List the layers of each block that the network without attention does not have.

    Args:
        state_dict: The tensors; those outside of blocks are ignored.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in the state dict.

    Returns:
        Block (``layer1.0``) to layer (``eca``) to tensor (``conv.weight``) to shape.
    """
    blocks: BlockLayers = {}
    for name, value in state_dict.items():
        part = family.split(name)
        if not part or part.prefix != prefix:
            continue
        layers = blocks.setdefault(part.block, {})
        # torch < 0.4.1 saved no batch counters
        if not family.is_plain(part.layer) and not part.tensor.endswith('num_batches_tracked'):
            layers.setdefault(part.layer, {})[part.tensor] = tuple(value.shape)
    return blocks


def _names(blocks: BlockLayers) -> str:
    names = sorted({layer for layers in blocks.values() for layer in layers})
    return ', '.join(map(repr, names)) or 'no attention that has weights'


def _describe(sizes: Dict[int, List[int]]) -> Tuple:
    return tuple(v[0] if len(v) == 1 else tuple(v) for v in sizes.values())
