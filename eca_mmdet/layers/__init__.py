"""Attention layers, one family per file."""

from .attention import ATTENTIONS, USE_KERNEL_SIZE, attention_config
from .cbam import CBAMLayer
from .eca import RELEASED_KERNEL_SIZES, ECALayer, eca_kernel_size
from .eca_ns import ECANSLayer
from .se import SEGCLayer, SELayer, SEVar1Layer, SEVar2Layer, SEVar3Layer
from .triplet import TripletLayer

__all__ = [
    'ATTENTIONS',
    'RELEASED_KERNEL_SIZES',
    'USE_KERNEL_SIZE',
    'CBAMLayer',
    'ECALayer',
    'ECANSLayer',
    'SEGCLayer',
    'SELayer',
    'SEVar1Layer',
    'SEVar2Layer',
    'SEVar3Layer',
    'TripletLayer',
    'attention_config',
    'eca_kernel_size',
]
