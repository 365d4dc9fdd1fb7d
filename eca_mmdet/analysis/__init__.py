"""What a model costs, and the published tables to compare it with."""

from .build import build_backbone, build_detector, image_shape
from .compare import compare_all, comparison_text, cost_data, cost_text
from .conventions import CONVENTIONS
from .cost import count_cost

__all__ = [
    'CONVENTIONS',
    'build_backbone',
    'build_detector',
    'compare_all',
    'comparison_text',
    'cost_data',
    'cost_text',
    'count_cost',
    'image_shape',
]
