"""Hooks that keep a training run honest."""

from .learning_rate import LearningRateHook
from .non_finite import NonFiniteLossError, NonFiniteLossHook
from .safe_resume import SafeResumeHook

__all__ = ['LearningRateHook', 'NonFiniteLossError', 'NonFiniteLossHook', 'SafeResumeHook']
