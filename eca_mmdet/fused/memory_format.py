"""The memory format of a tensor, and how to give it to another."""

import torch
from torch import Tensor


def match(x: Tensor, other: Tensor) -> Tensor:
    """Return ``x`` in the memory format of ``other``."""
    return x.contiguous(memory_format=memory_format_of(other))


def memory_format_of(x: Tensor) -> torch.memory_format:
    """Return ``channels_last`` for such a tensor, and ``contiguous_format`` for all others."""
    last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
