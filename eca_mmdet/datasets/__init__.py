"""Checks of datasets before a run, and the datasets that this project creates."""

from .nuclei import convert_nuclei
from .semantic_masks import masks_from_coco
from .shapes import make_shapes

__all__ = ['convert_nuclei', 'make_shapes', 'masks_from_coco']
