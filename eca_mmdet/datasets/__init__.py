"""Checks of datasets before a run, your own datasets, and those that this project creates."""

from .coco_folder import find_coco_folder
from .convert_voc import convert_voc
from .convert_yolo import convert_yolo
from .digits import make_digits
from .nuclei import convert_nuclei
from .semantic_masks import masks_from_coco
from .shapes import make_shapes
from .single_shapes import make_single_shapes

__all__ = [
    'convert_nuclei',
    'convert_voc',
    'convert_yolo',
    'find_coco_folder',
    'make_digits',
    'make_shapes',
    'make_single_shapes',
    'masks_from_coco',
]
