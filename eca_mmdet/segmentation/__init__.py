"""Semantic segmentation with MMSegmentation: dataset, metric, visualizations and checks.

Importing this package registers its classes with mmseg. It needs MMSegmentation; ``import eca_mmdet`` does
not import it.
"""

from .image_mask_dataset import ImageMaskDataset
from .segmentation_metric import DumpSegmentation, SegmentationMetric
from .side_by_side_hook import SideBySideHook
from .task import SegmentationTask

__all__ = [
    'DumpSegmentation',
    'ImageMaskDataset',
    'SegmentationMetric',
    'SegmentationTask',
    'SideBySideHook',
]
