"""Run a whole detector in ``channels_last`` on a CPU if all of its parts support this memory format.

Convolutions of oneDNN are faster in ``channels_last``. But operators of mmcv silently misread features in
``channels_last``. So the features of the backbone are only in this format if all other parts are known.
"""

from typing import List

from mmdet.models import dense_heads, detectors, necks, roi_heads
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ...fused import FusedForward
from ...layers.fast_conv import FastConv2d, use_fast_convolutions
from ...layers.roi_align import RoIAlign
from ...roi_extractors import FastRoIExtractor
from .learning_rate import unwrap_model

DETECTORS = (detectors.FasterRCNN, detectors.MaskRCNN, detectors.CascadeRCNN, detectors.RetinaNet)
PARTS = (
    necks.FPN,
    dense_heads.RPNHead,
    dense_heads.RetinaHead,
    roi_heads.StandardRoIHead,
    roi_heads.CascadeRoIHead,
    roi_heads.Shared2FCBBoxHead,
    roi_heads.FCNMaskHead,
    FastRoIExtractor,
    RoIAlign,
    FastConv2d,
)
"""Parts whose code reads features correctly in any memory format."""

LAYERS = (
    'torch.nn.modules.',
    'mmcv.cnn.bricks.conv_module',
    'mmcv.cnn.bricks.wrappers',
    'mmengine.model.',
    'mmdet.models.losses.',
)
"""Modules that define the layers of these parts."""


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Run a detector on a CPU in ``channels_last`` if ``use_channels_last`` supports it."""

    def before_run(self, runner: Runner) -> None:
        """Switch the detector to ``channels_last``."""
        if use_channels_last(unwrap_model(runner)):
            print_log('The whole detector computes in channels_last', 'current')


def use_channels_last(detector: nn.Module) -> bool:
    """Make the backbone pass its features to neck and heads in ``channels_last``.

    The 3x3 convolutions of neck and heads are replaced by ``FastConv2d`` with the same parameters and names.
    Nothing changes if a part of the detector is unknown, a parameter is not on the CPU, or the config sets
    the backbone's ``channels_last``.

    Args:
        detector: A detector of mmdet with one of this package's backbones.

    Returns:
        Whether the features are in ``channels_last``.
    """
    backbone = getattr(detector, 'backbone', None)
    if not isinstance(backbone, FusedForward):
        return False
    is_on_cpu = all(parameter.device.type == 'cpu' for parameter in detector.parameters())
    if backbone.channels_last is None and is_on_cpu and not find_unknown_parts(detector):
        backbone.channels_last = True
        for name, part in detector.named_children():
            if name != 'backbone':
                use_fast_convolutions(part)
    return bool(backbone.channels_last)


def find_unknown_parts(detector: nn.Module) -> List[str]:
    """Return the names of modules after the backbone that may misread features in ``channels_last``."""
    names = [] if type(detector) in DETECTORS else ['']
    for name, module in detector.named_modules():
        if name and not name.startswith(('backbone', 'data_preprocessor')):
            cls = type(module)
            if cls not in PARTS and not cls.__module__.startswith(LAYERS):
                names.append(name)
    return names
