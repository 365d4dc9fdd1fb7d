"""What takes part in a training run."""

from .hooks import LearningRateHook, NonFiniteLossError, NonFiniteLossHook, SafeResumeHook

__all__ = ['LearningRateHook', 'NonFiniteLossError', 'NonFiniteLossHook', 'SafeResumeHook']
