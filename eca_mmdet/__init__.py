"""ECA (efficient channel attention, arXiv 1910.03151) for MMDetection.

Importing the package registers its backbones, layers and hooks with mmengine and
makes its configs known as ``eca_mmdet::NAME.py``.
"""

from .environment import require_stack

__version__ = '0.1.0'

require_stack()

from . import mmdet1_boxes  # noqa: E402, F401
from .apis import load_backbone, load_detector  # noqa: E402
from .backbones import ECAMobileNetV2, ECAResNet  # noqa: E402
from .checkpoints import allow_training_state, register_loading  # noqa: E402
from .config_package import register_config_package  # noqa: E402
from .engine import (  # noqa: E402
    AutocastHook,
    ChannelsLastHook,
    LearningRateHook,
    LoadedWeightsHook,
    NonFiniteLossHook,
    SafeResumeHook,
)
from .layers import ECALayer, eca_kernel_size  # noqa: E402
from .roi_extractors import FastRoIExtractor  # noqa: E402

register_config_package()
allow_training_state()
register_loading()

__all__ = [
    'AutocastHook',
    'ChannelsLastHook',
    'ECALayer',
    'ECAMobileNetV2',
    'ECAResNet',
    'FastRoIExtractor',
    'LearningRateHook',
    'LoadedWeightsHook',
    'NonFiniteLossHook',
    'SafeResumeHook',
    '__version__',
    'eca_kernel_size',
    'load_backbone',
    'load_detector',
]
