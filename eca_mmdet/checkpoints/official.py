"""Official ECANet ImageNet checkpoints of the ResNet family, and plain ResNets of torchvision's names.

Format (BangguWu/ECANet, ``main.py``): a dict with ``state_dict`` beside ``epoch``, ``arch``,
``best_prec1`` and ``optimizer``; names are torchvision's with ``module.`` in front and
``layerN.M.eca.conv.weight`` of shape ``(1, 1, k)``. timm's plain ResNets without a deep stem
have torchvision's names too.
"""

from typing import Any, Dict, Mapping

from torch import Tensor

from ..backbones.kernel_sizes import KernelSizes
from .conversion import Conversion, convert_resnet, rename
from .find_weights import find_weights

TO_OFFICIAL = ((r'^', 'module.'),)
"""Ordered (pattern, replacement) pairs. The way back needs none: ``find_weights`` takes ``module.`` off."""

_DEPTHS = (18, 34, 50, 101, 152)


def convert_official(checkpoint: Any, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Turn an official ECA-ResNet ImageNet checkpoint into an ``ECAResNet`` backbone.

    Raises:
        ValueError: If it has no ECA weights, or for the reasons of ``convert_resnet``.
    """
    found = find_weights(checkpoint)
    if not any('.eca.conv.weight' in name for name in found.tensors):
        raise ValueError(
            'this checkpoint has no ECA weights (layer1.0.eca.conv.weight, ...): it is not an ECANet '
            'release; for a plain ResNet leave --source out'
        )
    return convert_resnet(found, 'official ECANet ImageNet', (), eca_kernel_sizes)


def convert_plain(checkpoint: Any, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Turn a plain ResNet or ResNeXt into an ``ECAResNet`` whose ECA starts from its initial value.

    Raises:
        ValueError: If it has ECA weights, or for the reasons of ``convert_resnet``.
    """
    found = find_weights(checkpoint)
    if any('.eca.' in name for name in found.tensors):
        raise ValueError('it has ECA weights (layer1.0.eca.conv.weight, ...), so it is not a plain ResNet')
    return convert_resnet(found, 'plain ResNet of torchvision or timm', (), eca_kernel_sizes)


def to_official(state_dict: Mapping[str, Tensor], backbone: Mapping[str, Any]) -> Dict[str, Tensor]:
    """Give a backbone, with or without classifier, the names of the official release.

    Raises:
        ValueError: If the official networks do not have these parts.
    """
    extras = {k: v for k, v in backbone.items() if k not in ('type', 'depth', 'eca_kernel_sizes')}
    if extras or backbone['depth'] not in _DEPTHS:
        raise ValueError(
            f'the official networks have depths {_DEPTHS}, a 7x7 stem and strided convolutions as '
            f'downsample; this one has depth {backbone["depth"]} and {", ".join(extras) or "no extras"}: '
            'write it with --to timm or --to mmdet'
        )
    names = rename(list(state_dict), TO_OFFICIAL)
    return {names[key]: value for key, value in state_dict.items()}
