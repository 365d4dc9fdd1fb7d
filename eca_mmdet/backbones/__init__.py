"""Backbones with channel attention, one architecture family per file."""

from .eca_resnet import ECAResNet

__all__ = ['ECAResNet']
