"""Detectors with heads of the size that they had in mmdet 1.x, which the published tables count."""

import torch
from torch import nn


def as_mmdet1(detector: nn.Module) -> nn.Module:
    """Give a detector's heads the size they had in mmdet 1.x; changes and returns ``detector``.

    Background was a class of the box regression and of the masks there: 81 of them for COCO.
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
