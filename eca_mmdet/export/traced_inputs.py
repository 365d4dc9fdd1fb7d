"""Inputs to trace and to check a graph with."""

from typing import Dict, Tuple

import torch
from torch import Tensor

from .image_preparation import Preparation


def example_inputs(preparation: Preparation, size: Tuple[int, int]) -> Dict[str, Tensor]:
    """Return noise with some padding as inputs of a graph.

    Args:
        preparation: How images are prepared.
        size: Height and width, if the model takes every size. They are rounded up to the padding.

    Returns:
        All inputs that a graph may have, by name.
    """
    divisor = preparation.pad_divisor
    height, width = preparation.pad_size or (-(-side // divisor) * divisor for side in size)
    return dict(
        image=torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(0)),
        size=torch.tensor([height - 1, width - 1]),
        factors=torch.tensor([1.5, 1.5]),
        original_size=torch.tensor([height * 3 // 2, width * 3 // 2]),
    )
