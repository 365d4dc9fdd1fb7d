"""Check that tensors belong to a network, by name and shape."""

from typing import Dict, List

import torch
from torch import Tensor


def fit_tensors(state_dict: Dict[str, Tensor], expected: Dict[str, Tensor], network: str) -> List[str]:
    """Check names and shapes, and add the batch counters that torch before 0.4.1 did not save.

    Args:
        state_dict: The tensors; missing counters are added to it.
        expected: Tensors of the network, which may be on the meta device.
        network: Name of the network for the error message.

    Returns:
        The names that were added.

    Raises:
        ValueError: If other tensors are missing, unexpected or of another shape. The message names the
            first of them.
    """
    added = [k for k in expected if k not in state_dict and k.endswith('num_batches_tracked')]
    missing = [key for key in expected if key not in state_dict and key not in added]
    unexpected = [key for key in state_dict if key not in expected]
    shape_mismatches = [
        f'{key} {tuple(state_dict[key].shape)} instead of {tuple(expected[key].shape)}'
        for key in expected
        if key in state_dict and state_dict[key].shape != expected[key].shape
    ]
    if missing or unexpected or shape_mismatches:
        raise ValueError(
            f'the file looks like {network} but does not fit it: '
            f'missing {missing[:5]}, unexpected {unexpected[:5]}, shapes {shape_mismatches[:5]}'
        )
    state_dict.update((key, torch.tensor(0)) for key in added)
    return added
