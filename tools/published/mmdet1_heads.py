"""Give detectors heads of the size in mmdet 1.x, on which the published tables are based."""

import torch
from torch import nn


def as_mmdet1(detector: nn.Module) -> nn.Module:
    """Resize a detector's heads in place to their size in mmdet 1.x, and return the detector.

    In mmdet 1.x, box regression and masks included a background class, so they had 81 classes for COCO.
    """
    head = getattr(detector, 'roi_head', None)
    with torch.device('meta'):
        if head is not None:
            old = head.bbox_head.fc_reg
            head.bbox_head.fc_reg = nn.Linear(old.in_features, old.out_features + 4)
        if head is not None and head.with_mask:
            old = head.mask_head.conv_logits
            head.mask_head.conv_logits = nn.Conv2d(old.in_channels, old.out_channels + 1, 1)
    return detector
