"""Checks of COCO datasets before a run, and the datasets that this project creates."""

from .dataset_checks import check_datasets
from .nuclei import convert_nuclei
from .shapes import make_shapes

__all__ = ['check_datasets', 'convert_nuclei', 'make_shapes']
