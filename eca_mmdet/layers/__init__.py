"""Attention layers, one per file."""

from .attention import ATTENTIONS, USE_KERNEL_SIZE, attention_config
from .eca import RELEASED_KERNEL_SIZES, ECALayer, eca_kernel_size

__all__ = [
    'ATTENTIONS',
    'RELEASED_KERNEL_SIZES',
    'USE_KERNEL_SIZE',
    'ECALayer',
    'attention_config',
    'eca_kernel_size',
]
