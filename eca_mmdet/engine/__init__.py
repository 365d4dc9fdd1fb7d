"""What takes part in a training run."""

from .hooks.autocast import AutocastHook, autocast_parts
from .hooks.learning_rate import LearningRateHook
from .hooks.non_finite import NonFiniteLossError, NonFiniteLossHook
from .hooks.safe_resume import SafeResumeHook

__all__ = [
    'AutocastHook',
    'LearningRateHook',
    'NonFiniteLossError',
    'NonFiniteLossHook',
    'SafeResumeHook',
    'autocast_parts',
]
