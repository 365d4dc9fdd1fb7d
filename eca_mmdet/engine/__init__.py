"""What takes part in a training run."""

from .hooks import LearningRateHook, NonFiniteLossError, NonFiniteLossHook

__all__ = ['LearningRateHook', 'NonFiniteLossError', 'NonFiniteLossHook']
