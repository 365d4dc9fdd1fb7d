"""Builds and runs an mmpretrain classifier on ECAResNet; run by a test in its own process.

mmdet imports mmpretrain where it is installed, and with it torchvision, so both lie in a
folder of their own, outside the environment of the tools.
"""

import torch
import torchvision_operators  # noqa: F401  before torchvision

# isort: split
import mmpretrain.models  # noqa: F401
from mmpretrain.registry import MODELS

import eca_mmdet  # noqa: F401

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
