"""Pictures of predictions."""

from .overview import write_overview
from .picture_names import UniquePicturesHook, unique_names

__all__ = ['UniquePicturesHook', 'unique_names', 'write_overview']
