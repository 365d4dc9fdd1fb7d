"""Visualization utilities."""

from .overview import write_overview
from .unique_names import unique_names

__all__ = ['unique_names', 'write_overview']
