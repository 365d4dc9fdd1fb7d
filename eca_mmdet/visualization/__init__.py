"""Visualization utilities."""

from .overview import write_overview
from .unique_file_names import UniquePicturesHook, unique_names

__all__ = ['UniquePicturesHook', 'unique_names', 'write_overview']
