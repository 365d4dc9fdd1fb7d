"""Image classification with MMPretrain: checks, results and visualizations. Needs MMPretrain."""

from .dropout_head import DropoutLinearClsHead
from .visualization_hook import ClassificationVisualizationHook

__all__ = ['ClassificationVisualizationHook', 'DropoutLinearClsHead']
