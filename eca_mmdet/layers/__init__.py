"""Attention layers, one family per file, and fast layers for CPUs."""

from .attention import ATTENTIONS, attention_config, sized_attention
from .cbam import CBAMLayer
from .eca import RELEASED_KERNEL_SIZES, ECALayer, eca_kernel_size
from .eca_ns import ECANSLayer
from .se import SEGCLayer, SELayer, SEVar1Layer, SEVar2Layer, SEVar3Layer
from .triplet import TripletLayer

__all__ = [
    'ATTENTIONS',
    'RELEASED_KERNEL_SIZES',
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
    'sized_attention',
]
