"""Backbones under mmdet's names: alone, within an MMPretrain classifier, within a detector.

MMPretrain's deep stem has ``stem.N.conv`` and ``stem.N.bn``, and the first stage of its ResNetV1d
has no pool before ``downsample`` (source: mmpretrain 1.2.0, ``backbones/resnet.py``). Our backbone
trained in MMPretrain has mmdet's names behind ``backbone.``.
"""

from typing import Any

from ..backbones.kernel_sizes import KernelSizes
from .architecture import OWN_SIZES
from .conversion import Conversion, Table, convert_resnet
from .find_weights import Found, find_weights
from .mobilenet import convert_mobilenet, recognise_mobilenet

_DEEP_STEM = tuple(
    (rf'^stem\.{block}\.{part}\.', f'stem.{3 * block + offset}.')
    for block in range(3)
    for offset, part in enumerate(('conv', 'bn'))
)
FROM_MMPRETRAIN = ((r'^backbone\.', ''), (r'^head\.fc\.', 'fc.'), *_DEEP_STEM)
# Highest first, so that no name moves twice.
_FIRST_DOWNSAMPLE = tuple(
    (rf'^layer1\.0\.downsample\.{i}\.', f'layer1.0.downsample.{i + 1}.') for i in (1, 0)
)
FROM_BACKBONE = ((r'^backbone\.', ''),)
"""Ordered (pattern, replacement) pairs."""


def convert_backbone(checkpoint: Any, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Check a backbone that has mmdet's names already."""
    return _convert(find_weights(checkpoint), 'mmdet backbone', FROM_BACKBONE, eca_kernel_sizes)


def convert_mmpretrain(checkpoint: Any, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Take the backbone of an MMPretrain classifier, with its classifier."""
    found = find_weights(checkpoint)
    names, table = found.tensors, FROM_MMPRETRAIN
    pooled = any(name.endswith('backbone.layer2.0.downsample.2.weight') for name in names)
    if pooled and not any(name.endswith('backbone.layer1.0.downsample.2.weight') for name in names):
        table += _FIRST_DOWNSAMPLE
    return _convert(found, 'MMPretrain classifier', table, eca_kernel_sizes)


def convert_backbone_of_detector(checkpoint: Any, eca_kernel_sizes: KernelSizes = None) -> Conversion:
    """Take the backbone alone out of a whole detector of mmdet 2.x or 3.x.

    Raises:
        ValueError: If nothing in it is named ``backbone.``.
    """
    found = find_weights(checkpoint)
    tensors = found.tensors
    kept = {name: value for name, value in tensors.items() if name.startswith('backbone.')}
    if not kept:
        raise ValueError(f"no tensor is named 'backbone.': names start like {sorted(tensors)[:3]}")
    parts = sorted({name.split('.')[0] for name in tensors if name not in kept})
    result = _convert(found._replace(tensors=kept), 'backbone of a detector', FROM_BACKBONE, eca_kernel_sizes)
    dropped = [f'{len(tensors) - len(kept)} tensors of {", ".join(parts)}'] if parts else []
    return result._replace(dropped=[*result.dropped, *dropped])


def _convert(found: Found, source: str, table: Table, eca_kernel_sizes: KernelSizes) -> Conversion:
    """Make it the backbone of the family that its names are of."""
    if not recognise_mobilenet(found.tensors):
        return convert_resnet(found, source, table, eca_kernel_sizes)
    if eca_kernel_sizes is not None:
        raise ValueError(OWN_SIZES)
    return convert_mobilenet(found, source, table)
