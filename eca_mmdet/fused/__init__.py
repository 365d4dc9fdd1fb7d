"""A forward pass for ECAResNet that gives the same values with less memory traffic; see docs/fused.md."""

from .forward import FusedForward

__all__ = ['FusedForward']
