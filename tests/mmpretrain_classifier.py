"""Builds and runs an mmpretrain classifier on ECAResNet; run by a test in its own process.

There is no CPU build of torchvision for this torch. mmpretrain imports it without
using its operators, and torchvision registers shape functions for operators that
are then missing: they are declared here first. mmdet imports mmpretrain where it is
installed, so both lie in a folder of their own, outside the environment of the tools.
"""

import torch

library = torch.library.Library('torchvision', 'DEF')
pooled = ('roi_align', 'roi_pool', 'ps_roi_align', 'ps_roi_pool', 'deform_conv2d')
for name in ('nms', 'qnms', 'qroi_align', *pooled, *(f'_{name}_backward' for name in pooled)):
    library.define(f'{name}(Tensor x) -> Tensor')

import mmpretrain.models  # noqa: E402, F401
from mmpretrain.registry import MODELS  # noqa: E402

import eca_mmdet  # noqa: E402, F401

classifier = MODELS.build(
    dict(
        type='ImageClassifier',
        backbone=dict(type='ECAResNet', depth=18, out_indices=(3,)),
        neck=dict(type='GlobalAveragePooling'),
        head=dict(type='LinearClsHead', num_classes=10, in_channels=512, loss=dict(type='CrossEntropyLoss')),
    )
)
scores = classifier(torch.randn(2, 3, 64, 64), mode='tensor')
print(type(classifier).__name__, type(classifier.backbone).__name__, tuple(scores.shape))
