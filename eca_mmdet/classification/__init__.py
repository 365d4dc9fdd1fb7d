"""Image classification with MMPretrain: checks, results and visualizations. Needs MMPretrain."""

from .classification_details import ClassificationDetails
from .dropout_head import DropoutLinearClsHead
from .visualization_hook import ClassificationVisualizationHook

__all__ = ['ClassificationDetails', 'ClassificationVisualizationHook', 'DropoutLinearClsHead']
