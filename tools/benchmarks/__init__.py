"""Benchmarks of backbones, whole detectors, single layers, checkpoint conversion and data loading."""

from .backbones import benchmark_backbones
from .cases import Cases
from .convolutions import benchmark_convolutions
from .loading import measure_loading
from .machine_report import machine, report_text
from .models import MODELS_COMPARED, build_contestant
from .plot import plot_results
from .step_profile import plot_profile, profile_detectors, profile_text
from .tail import benchmark_tail
from .whole_detectors import benchmark_detectors

__all__ = [
    'MODELS_COMPARED',
    'Cases',
    'benchmark_backbones',
    'benchmark_convolutions',
    'benchmark_detectors',
    'benchmark_tail',
    'build_contestant',
    'machine',
    'measure_loading',
    'plot_profile',
    'plot_results',
    'profile_detectors',
    'profile_text',
    'report_text',
]
