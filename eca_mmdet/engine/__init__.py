"""Hooks and other parts of a run."""

from ..environment import is_installed
from .autocast_regions import autocast_parts
from .hooks.autocast import AutocastHook
from .hooks.learning_rate import LearningRateHook
from .hooks.loaded_weights import LoadedWeightsHook
from .hooks.non_finite import NonFiniteLossError, NonFiniteLossHook
from .hooks.run_report import ReportHook
from .hooks.safe_resume import SafeResumeHook

__all__ = [
    'AutocastHook',
    'LearningRateHook',
    'LoadedWeightsHook',
    'NonFiniteLossError',
    'NonFiniteLossHook',
    'ReportHook',
    'SafeResumeHook',
    'autocast_parts',
]

if is_installed('mmdet'):
    from .hooks.channels_last import ChannelsLastHook, use_channels_last

    __all__ += ['ChannelsLastHook', 'use_channels_last']
