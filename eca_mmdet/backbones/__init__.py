"""Backbones with channel attention, one architecture family per module."""

from .eca_byobnet import BYOBNET, ECAByobNet
from .eca_mobilenet_v2 import ECAMobileNetV2
from .eca_resnet import ECAResNet
from .family import FAMILIES, Family, register_family
from .mobilenet_v2_family import MOBILENET_V2
from .resnet_family import RESNET
from .variants import VARIANTS

for family in (RESNET, MOBILENET_V2, BYOBNET):
    register_family(family)

__all__ = [
    'BYOBNET',
    'ECAByobNet',
    'ECAMobileNetV2',
    'ECAResNet',
    'FAMILIES',
    'Family',
    'MOBILENET_V2',
    'RESNET',
    'VARIANTS',
    'register_family',
]
