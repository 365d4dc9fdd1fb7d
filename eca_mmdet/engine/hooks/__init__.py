"""Hooks that keep a training run honest."""

from .learning_rate import LearningRateHook
from .non_finite import NonFiniteLossError, NonFiniteLossHook

__all__ = ['LearningRateHook', 'NonFiniteLossError', 'NonFiniteLossHook']
