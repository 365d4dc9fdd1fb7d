"""Computes a whole detector in ``channels_last`` on a CPU, where all of its parts read that correctly.

oneDNN's convolutions are faster in ``channels_last``. mmcv's operators read such features as if they were
contiguous, without an error. So only detectors whose parts are all known take the features as they are.
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
from .learning_rate import model_of

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
"""Classes that read features correctly in every memory format, by reading their code."""

LAYERS = (
    'torch.nn.modules.',
    'mmcv.cnn.bricks.conv_module',
    'mmcv.cnn.bricks.wrappers',
    'mmengine.model.',
    'mmdet.models.losses.',
)
"""Where the layers of those classes come from."""


@HOOKS.register_module()
class ChannelsLastHook(Hook):
    """Runs detectors on a CPU in ``channels_last`` where ``use_channels_last`` can."""

    def before_run(self, runner: Runner) -> None:
        """Turn it on."""
        if use_channels_last(model_of(runner)):
            print_log('The whole detector computes in channels_last', 'current')


def use_channels_last(detector: nn.Module) -> bool:
    """Let the backbone hand its features to neck and heads in ``channels_last``.

    The 3x3 convolutions of neck and heads become ``FastConv2d``, with the same parameters and names.
    Nothing changes where a part of the detector is unknown, a parameter is not on the CPU, or the config
    sets the backbone's ``channels_last`` itself.

    Args:
        detector: A detector of mmdet with one of this package's backbones.

    Returns:
        Whether the features are in ``channels_last`` now.
    """
    backbone = getattr(detector, 'backbone', None)
    if not isinstance(backbone, FusedForward):
        return False
    is_on_cpu = all(parameter.device.type == 'cpu' for parameter in detector.parameters())
    if backbone.channels_last is None and is_on_cpu and not unknown_parts(detector):
        backbone.channels_last = True
        for name, part in detector.named_children():
            if name != 'backbone':
                use_fast_convolutions(part)
    return bool(backbone.channels_last)


def unknown_parts(detector: nn.Module) -> List[str]:
    """Names of the parts behind the backbone that may read ``channels_last`` features wrongly."""
    names = [] if type(detector) in DETECTORS else ['']
    for name, module in detector.named_modules():
        if name and not name.startswith(('backbone', 'data_preprocessor')):
            cls = type(module)
            if cls not in PARTS and not cls.__module__.startswith(LAYERS):
                names.append(name)
    return names
