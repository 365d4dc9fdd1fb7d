"""Read the memory format of a tensor and convert other tensors to it."""

import torch
from torch import Tensor


def match_memory_format(x: Tensor, other: Tensor) -> Tensor:
    """Return ``x`` in the memory format of ``other``."""
    return x.contiguous(memory_format=get_memory_format(other))


def get_memory_format(x: Tensor) -> torch.memory_format:
    """Return ``channels_last`` if ``x`` is only contiguous in that format, else ``contiguous_format``."""
    is_channels_last = not x.is_contiguous() and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_channels_last else torch.contiguous_format
