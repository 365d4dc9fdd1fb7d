"""What takes part in a training run."""

from .hooks import (
    AutocastHook,
    LearningRateHook,
    NonFiniteLossError,
    NonFiniteLossHook,
    SafeResumeHook,
    autocast_parts,
)

__all__ = [
    'AutocastHook',
    'LearningRateHook',
    'NonFiniteLossError',
    'NonFiniteLossHook',
    'SafeResumeHook',
    'autocast_parts',
]
