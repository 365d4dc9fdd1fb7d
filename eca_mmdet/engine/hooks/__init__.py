"""Hooks that keep a training run honest."""

from .autocast import AutocastHook, autocast_parts
from .learning_rate import LearningRateHook
from .non_finite import NonFiniteLossError, NonFiniteLossHook
from .safe_resume import SafeResumeHook

__all__ = [
    'AutocastHook',
    'LearningRateHook',
    'NonFiniteLossError',
    'NonFiniteLossHook',
    'SafeResumeHook',
    'autocast_parts',
]
