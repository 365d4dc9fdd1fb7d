"""Visualization utilities."""

from .overview import write_overview
from .unique_names import dataset_file_names, unique_names

__all__ = ['dataset_file_names', 'unique_names', 'write_overview']
