"""Hooks and other parts of a run."""

from ..environment import is_installed
from .autocast_regions import autocast_parts
from .hooks.atomic_checkpoint import AtomicCheckpointHook
from .hooks.autocast import AutocastHook
from .hooks.exact_resume import ExactResumeHook, MissedEvaluationHook
from .hooks.learning_rate import LearningRateHook
from .hooks.loaded_weights import LoadedWeightsHook
from .hooks.non_finite import NonFiniteLossError, NonFiniteLossHook
from .hooks.run_report import ReportHook
from .hooks.safe_resume import SafeResumeHook
from .interruption import InterruptionHook, StopSignals, TrainingInterrupted

__all__ = [
    'AtomicCheckpointHook',
    'AutocastHook',
    'ExactResumeHook',
    'InterruptionHook',
    'LearningRateHook',
    'LoadedWeightsHook',
    'MissedEvaluationHook',
    'NonFiniteLossError',
    'NonFiniteLossHook',
    'ReportHook',
    'SafeResumeHook',
    'StopSignals',
    'TrainingInterrupted',
    'autocast_parts',
]

if is_installed('mmdet'):
    from .hooks.channels_last import ChannelsLastHook, use_channels_last

    __all__ += ['ChannelsLastHook', 'use_channels_last']
