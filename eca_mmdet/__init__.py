"""ECA (efficient channel attention, arXiv 1910.03151) for MMDetection, MMSegmentation and MMPretrain.

Importing the package registers its backbones, layers and hooks with mmengine and makes its configs known as
``eca_mmdet::NAME.py``. Each of the three host libraries is optional. Parts that extend mmdet are registered
if it is installed.
"""

from .environment import is_installed, require_stack
from .torchvision_operators import declare_missing_operators

__version__ = '0.1.0'

declare_missing_operators()
require_stack()

from .apis import load_backbone, load_detector  # noqa: E402
from .backbones import ECAMobileNetV2, ECAResNet  # noqa: E402
from .checkpoints import allow_training_state, register_loading  # noqa: E402
from .config_package import register_config_package  # noqa: E402
from .engine import (  # noqa: E402
    AutocastHook,
    LearningRateHook,
    LoadedWeightsHook,
    NonFiniteLossHook,
    ReportHook,
    SafeResumeHook,
)
from .layers import ECALayer, eca_kernel_size  # noqa: E402
from .prediction import Detector  # noqa: E402

register_config_package()
allow_training_state()
register_loading()

__all__ = [
    'AutocastHook',
    'Detector',
    'ECALayer',
    'ECAMobileNetV2',
    'ECAResNet',
    'LearningRateHook',
    'LoadedWeightsHook',
    'NonFiniteLossHook',
    'ReportHook',
    'SafeResumeHook',
    '__version__',
    'eca_kernel_size',
    'load_backbone',
    'load_detector',
]

if is_installed('mmdet'):
    from . import mmdet1_boxes  # noqa: F401
    from .apis import detection  # noqa: F401
    from .engine import ChannelsLastHook  # noqa: F401
    from .roi_extractors import FastRoIExtractor  # noqa: F401

    __all__ += ['ChannelsLastHook', 'FastRoIExtractor']
