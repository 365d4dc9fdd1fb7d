"""Side-by-side timing of backbones."""

from .backbones import benchmark_backbones
from .models import MODELS_COMPARED, build_contestant
from .report import machine, report_text

__all__ = ['MODELS_COMPARED', 'benchmark_backbones', 'build_contestant', 'machine', 'report_text']
