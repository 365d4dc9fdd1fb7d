"""Count the parameters and multiply-adds of each part of a model."""

from .build import build_backbone, build_detector, find_variant, image_shape
from .conventions import CONVENTIONS
from .cost import count_cost
from .cost_report import cost_data, cost_text, table_text

__all__ = [
    'CONVENTIONS',
    'build_backbone',
    'build_detector',
    'cost_data',
    'cost_text',
    'count_cost',
    'find_variant',
    'image_shape',
    'table_text',
]
