"""Backbones with channel attention, one architecture family per file."""

from .eca_mobilenet_v2 import ECAMobileNetV2
from .eca_resnet import ECAResNet
from .variants import VARIANTS

__all__ = ['VARIANTS', 'ECAMobileNetV2', 'ECAResNet']
