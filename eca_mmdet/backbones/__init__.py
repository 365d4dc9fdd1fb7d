"""Backbones with channel attention, one architecture family per file."""

from .eca_resnet import ECAResNet
from .variants import VARIANTS

__all__ = ['VARIANTS', 'ECAResNet']
