"""Checks of datasets before a run, and the datasets that this project creates."""

from .digits import make_digits
from .nuclei import convert_nuclei
from .semantic_masks import masks_from_coco
from .shapes import make_shapes
from .single_shapes import make_single_shapes

__all__ = ['convert_nuclei', 'make_digits', 'make_shapes', 'make_single_shapes', 'masks_from_coco']
