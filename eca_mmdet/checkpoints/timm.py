"""timm's ResNets, with ECA as ``layerN.M.se`` or without, ``.pth`` or ``.safetensors``.

A deep stem is ``conv1.{0,1,3,4,6}`` and ``bn1`` there, ``stem.{0,1,3,4,6,7}`` in mmdet. Source:
timm 1.0.31, ``timm/models/resnet.py``.
"""

from typing import Any, Dict, Mapping

from torch import Tensor

from ..backbones.kernel_sizes import KernelSizes
from .conversion import Conversion, convert_resnet, rename
from .find_weights import find_weights

_ECA = ((r'^(layer\d+\.\d+)\.se\.conv\.weight$', r'\1.eca.conv.weight'),)
FROM_TIMM = {
    False: _ECA,
    True: (*_ECA, (r'^conv1\.(\d+)\.', r'stem.\1.'), (r'^bn1\.', 'stem.7.')),
}
"""By whether the stem is deep: ordered (pattern, replacement) pairs."""
TO_TIMM = (
    (r'^(layer\d+\.\d+)\.eca\.', r'\1.se.'),
    (r'^stem\.7\.', 'bn1.'),
    (r'^stem\.', 'conv1.'),
)


def convert_timm(checkpoint: Any, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Turn a checkpoint of timm's ResNet family into an ``ECAResNet`` backbone.

    Raises:
        ValueError: If its ECA is not named as in timm, or for the reasons of ``convert_resnet``.
    """
    found = find_weights(checkpoint)
    names = found.tensors
    has_eca = any('.se.conv.weight' in name for name in names)
    if any('.eca.' in name for name in names):
        raise ValueError("its ECA is named 'eca' as in the official release and mmdet, not 'se' as in timm")
    source = "timm's ECA-ResNet" if has_eca else "timm's plain ResNet"
    return convert_resnet(found, source, FROM_TIMM['conv1.0.weight' in names], eca_kernel_sizes)


def to_timm(state_dict: Mapping[str, Tensor], backbone: Mapping[str, Any]) -> Dict[str, Tensor]:
    """Give a backbone, with or without classifier, timm's names.

    Raises:
        ValueError: If timm's ResNet cannot be built with these sizes.
    """
    if 'stem_channels' in backbone and not backbone.get('deep_stem'):
        raise ValueError(
            f"a plain stem of {backbone['stem_channels']} channels: timm's has 64; write it with --to mmdet"
        )
    names = rename(list(state_dict), TO_TIMM)
    return {names[key]: value for key, value in state_dict.items()}
