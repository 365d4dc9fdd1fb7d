"""Which ECA a state dict holds, told from names and shapes."""

import re
from typing import Dict, List, Tuple

from torch import Tensor


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
    sizes, found = checkpoint_kernel_sizes(own), checkpoint_kernel_sizes(state_dict, prefix)
    if any(found[stage] != sizes[stage] for stage in sizes.keys() & found.keys()):
        raise ValueError(
            f'the checkpoint has ECA kernel sizes {_describe(found)}, this backbone was built with '
            f'{_describe(sizes)}; set eca_kernel_sizes of the backbone to those of the checkpoint'
        )


def _describe(sizes: Dict[int, List[int]]) -> Tuple:
    return tuple(v[0] if len(v) == 1 else tuple(v) for v in sizes.values())
