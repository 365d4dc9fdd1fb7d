"""Compare the attention in a state_dict with that of a backbone, by names and shapes."""

import logging
from typing import Any, Dict, List, Mapping, Optional, Tuple

from mmengine.logging import print_log
from torch import Tensor

from .family import Family

BlockLayers = Dict[str, Dict[str, Dict[str, Tuple[int, ...]]]]


def checkpoint_kernel_sizes(
    state_dict: Mapping[str, Tensor], family: Family, prefix: str = ''
) -> Dict[int, List[int]]:
    """Read the ECA kernel sizes of each stage from the shapes ``(1, 1, k)`` of the ECA weights.

    Args:
        state_dict: The tensors; those of other layers are ignored.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in ``state_dict``.

    Returns:
        The sorted distinct sizes of the blocks, by stage index (from 0).
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
    """Read one ECA kernel size per stage, or return an empty list if there is no ECA.

    Raises:
        ValueError: If a stage has no ECA or several sizes.
    """
    found = checkpoint_kernel_sizes(state_dict, family, prefix)
    if not found:
        return []
    if any(len(sizes) != 1 for sizes in found.values()) or sorted(found) != list(range(family.stages)):
        raise ValueError(
            f'the ECA kernel sizes must be one for each of {family.stages} stages, but the checkpoint has '
            f'{found} (by stage, from 0)'
        )
    return [sizes[0] for sizes in found.values()]


def se_attention(state_dict: Mapping[str, Tensor]) -> Optional[Dict[str, Any]]:
    """Read the config of the SE layers from the shapes of the first one; ``None`` if there is no SE.

    Raises:
        ValueError: If the shape is not that of a 1x1 convolution.
    """
    weight = state_dict.get('layer1.0.se.fc1.weight')
    if weight is None:
        return None
    if weight.dim() != 4 or 0 in weight.shape:
        raise ValueError(f'layer1.0.se.fc1.weight has shape {tuple(weight.shape)}, not (C / r, C, 1, 1)')
    reduced, channels = weight.shape[:2]
    return dict(type='SELayer', ratio=channels // reduced, bias='layer1.0.se.fc1.bias' in state_dict)


def check_kernel_sizes(
    backbone_state: Mapping[str, Tensor], state_dict: Mapping[str, Tensor], family: Family, prefix: str = ''
) -> None:
    """Raise an error if ECA weights have other kernel sizes than the backbone.

    Args:
        backbone_state: The state_dict of the backbone.
        state_dict: The tensors to load.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in ``state_dict``.

    Raises:
        ValueError: If the sizes of a stage that has ECA in both differ.
    """
    loaded = checkpoint_kernel_sizes(state_dict, family, prefix)
    built = checkpoint_kernel_sizes(backbone_state, family)
    if any(loaded[stage] != built[stage] for stage in loaded.keys() & built.keys()):
        raise ValueError(
            f'the checkpoint has ECA kernel sizes {_describe_sizes(loaded)}, this backbone was built with '
            f'{_describe_sizes(built)}; set eca_kernel_sizes of the backbone to those of the checkpoint'
        )


def check_block_layers(
    backbone_state: Mapping[str, Tensor], state_dict: Mapping[str, Tensor], family: Family, prefix: str = ''
) -> None:
    """Raise an error if blocks in the checkpoint have another attention than in the backbone.

    Blocks without attention in the checkpoint are accepted.

    Args:
        backbone_state: The state_dict of the backbone.
        state_dict: The tensors to load.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in ``state_dict``.

    Raises:
        ValueError: If the attention of a block is missing in the backbone, or has other tensors or
            shapes there. Blocks that only one of the two has are ignored.
    """
    loaded, built = block_layers(state_dict, family, prefix), block_layers(backbone_state, family)
    for block in sorted(loaded.keys() & built.keys()):
        for layer, tensors in loaded[block].items():
            if layer not in built[block]:
                raise ValueError(
                    f'the checkpoint has the attention {_layer_names(loaded)}, this backbone was built with '
                    f"{_layer_names(built)}; set the backbone's attention to that of the checkpoint, or load "
                    'weights of a plain network'
                )
            if tensors != built[block][layer]:
                raise ValueError(
                    f'{layer!r} in {block} has the tensors {tensors} in the checkpoint, but '
                    f"{built[block][layer]} in this backbone; set the backbone's attention to that of the "
                    'checkpoint'
                )


def report_new_attention(
    backbone_state: Mapping[str, Tensor],
    state_dict: Mapping[str, Tensor],
    family: Family,
    prefix: str,
    frozen_stages: int,
) -> None:
    """Log that the attention starts untrained if the state_dict belongs to a plain network."""
    loaded, built = block_layers(state_dict, family, prefix), block_layers(backbone_state, family)
    if not loaded or any(loaded.values()) or not any(built.values()):
        return
    level = logging.INFO
    message = f'The checkpoint is of a plain network; {_layer_names(built)} starts untrained'
    if frozen_stages > 0:
        level = logging.WARNING
        message += f' and stays so in the stages that frozen_stages={frozen_stages} freezes; 0 trains all'
    print_log(f'{message}.', 'current', level)


def block_layers(state_dict: Mapping[str, Tensor], family: Family, prefix: str = '') -> BlockLayers:
    """List the attention layers of each block and the shapes of their tensors.

    Args:
        state_dict: The tensors; those outside blocks are ignored.
        family: The family of the backbone.
        prefix: The prefix of the backbone's names in ``state_dict``.

    Returns:
        Shapes by block (``layer1.0``), layer (``eca``) and tensor (``conv.weight``).
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


def _layer_names(blocks: BlockLayers) -> str:
    names = sorted({layer for layers in blocks.values() for layer in layers})
    return ', '.join(map(repr, names)) or 'no attention that has weights'


def _describe_sizes(sizes: Dict[int, List[int]]) -> Tuple:
    return tuple(v[0] if len(v) == 1 else tuple(v) for v in sizes.values())
