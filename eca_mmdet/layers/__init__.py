"""Attention layers, one per file."""

from .eca import RELEASED_KERNEL_SIZES, ECALayer, eca_kernel_size

__all__ = ['RELEASED_KERNEL_SIZES', 'ECALayer', 'eca_kernel_size']
