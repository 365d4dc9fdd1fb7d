"""The formats that are known, how each is recognised by its names, and the way from one to another.

A further source is one more entry of ``FORMATS``; a further target one more of ``WRITERS``.
"""

import re
from typing import Any, Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from torch import Tensor

from ..backbones.kernel_sizes import KernelSizes
from .architecture import OWN_SIZES
from .conversion import CLASSIFIER, Conversion
from .find_weights import find_weights
from .mobilenet import (
    convert_official_mobilenet,
    recognise_official_mobilenet,
    to_official_mobilenet,
)
from .official import convert_official, convert_plain, to_official
from .openmmlab import convert_backbone, convert_backbone_of_detector, convert_mmpretrain
from .timm import convert_timm, to_timm


class Format(NamedTuple):
    """A source format."""

    name: str  # what --source calls it
    recognise: Callable[[Mapping[str, Tensor]], bool]  # by the tensors, without reading values
    convert: Callable[[Any, KernelSizes], Conversion]  # of what the file holds


def _has(pattern: str) -> Callable[[Mapping[str, Tensor]], bool]:
    matches = re.compile(pattern).fullmatch
    return lambda tensors: any(matches(name) for name in tensors)


_stem, _deep_stem, _timm_stem = (_has(rf'{name}\.weight') for name in ('conv1', r'stem\.0', r'conv1\.0'))
_eca, _se = (_has(rf'layer\d+\.\d+\.{name}\.conv\.weight') for name in ('eca', 'se'))
_mobilenet = _has(r'layer\d+\.\d+\.depthwise_conv\.conv\.weight')
_classifier, _wrapped = _has(r'fc\.weight'), _has(r'backbone\.layer1\..+')
_detector = _has(r'(neck|rpn_head|roi_head|bbox_head|mask_head|decode_head)\..+')


def _is_official(tensors: Mapping[str, Tensor]) -> bool:
    return _stem(tensors) and _eca(tensors) and _classifier(tensors)


def _is_backbone(tensors: Mapping[str, Tensor]) -> bool:
    if _deep_stem(tensors) or _mobilenet(tensors):
        return True
    return _stem(tensors) and _eca(tensors) and not _is_official(tensors)


def _is_plain(tensors: Mapping[str, Tensor]) -> bool:
    return _stem(tensors) and not _eca(tensors) and not _se(tensors) and _has(r'layer1\..+')(tensors)


def _convert_official_mobilenet(checkpoint: Any, eca_kernel_sizes: KernelSizes) -> Conversion:
    if eca_kernel_sizes is not None:
        raise ValueError(OWN_SIZES)
    return convert_official_mobilenet(checkpoint)


FORMATS = (
    Format('official', _is_official, convert_official),
    Format('timm', lambda tensors: _se(tensors) or _timm_stem(tensors), convert_timm),
    Format('plain', _is_plain, convert_plain),
    Format('mmpretrain', lambda tensors: _wrapped(tensors) and not _detector(tensors), convert_mmpretrain),
    Format('mmdet', _is_backbone, convert_backbone),
    Format('official-mobilenetv2', recognise_official_mobilenet, _convert_official_mobilenet),
    # Never by itself: whoever has a detector may want all of it.
    Format('backbone-of-detector', lambda tensors: False, convert_backbone_of_detector),
)

WRITERS: Dict[Tuple[str, str], Callable[[Mapping[str, Tensor], Mapping[str, Any]], Dict[str, Tensor]]] = {
    ('ECAResNet', 'official'): to_official,
    ('ECAResNet', 'timm'): to_timm,
    ('ECAMobileNetV2', 'official'): lambda tensors, backbone: to_official_mobilenet(tensors),
}
"""(type of the backbone, --to) to the function of its tensors, with classifier, and its config."""

TARGETS = ('mmdet', 'official', 'timm')

_REFUSED = (
    (
        _has(r'stages\.\d+\.\d+\..+'),
        "it has the names of timm's ByobNet (eca_resnet33ts, eca_resnext26ts, ...), another family with "
        'another stem and SiLU, which is not supported',
    ),
    (
        lambda tensors: _wrapped(tensors) and _detector(tensors),
        'it is a whole detector, not a backbone: convert it with tools/convert_weights.py and load it with '
        "eca_mmdet.load_detector, or take its backbone alone with source='backbone-of-detector'",
    ),
)


def recognise(tensors: Mapping[str, Tensor]) -> Format:
    """Find the one format that a checkpoint's tensors have.

    Raises:
        ValueError: If there is none, or more than one.
    """
    found = [known for known in FORMATS if known.recognise(tensors)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ' and '.join(known.name for known in found)
        raise ValueError(f'not sure what this is: it has names of {names}; say which with --source')
    for applies, reason in _REFUSED:
        if applies(tensors):
            raise ValueError(reason)
    raise ValueError(
        f'no known format: its {len(tensors)} tensors are named like {sorted(tensors)[:3]}; known are '
        f'{", ".join(known.name for known in FORMATS)} (--source says which it is)'
    )


def convert(
    checkpoint: Any,
    source: Optional[str] = None,
    target: str = 'mmdet',
    eca_kernel_sizes: KernelSizes = None,
    weights: Optional[str] = None,
) -> Conversion:
    """Convert what a checkpoint file holds.

    Args:
        checkpoint: A state dict, or a dict that has one under an entry; see ``find_weights``.
        source: Name of one of ``FORMATS``, or ``None`` to recognise it.
        target: One of ``TARGETS``: the names and the parts that the result has.
        eca_kernel_sizes: Sizes for a network without ECA; ``None`` for those of its depth.
        weights: The entry that holds the state dict, where there are several.

    Returns:
        The conversion; ``state_dict`` is that of the target, with a classifier where the source
        and the target have one.

    Raises:
        ValueError: If the source is not recognised, does not hold what its format says, or the
            target has no place for it.
    """
    known = {entry.name: entry for entry in FORMATS}
    if source is not None and source not in known:
        raise ValueError(f'source={source!r}: allowed are {", ".join(known)}')
    if target not in TARGETS:
        raise ValueError(f'target={target!r}: allowed are {", ".join(TARGETS)}')
    found = find_weights(checkpoint, weights)
    form = known[source] if source else recognise(found.tensors)
    conversion = form.convert(found, eca_kernel_sizes)
    return _written(conversion, target)


def _written(conversion: Conversion, target: str) -> Conversion:
    """Put a conversion in the target's names; say what becomes of the classifier."""
    classifier = conversion.classifier
    if target == 'mmdet':
        dropped = [f'{name} {tuple(value.shape)}' for name, value in classifier.items()]
        renamed = [pair for pair in conversion.renamed if pair[1] not in classifier]
        return conversion._replace(dropped=conversion.dropped + dropped, renamed=renamed, classifier={})
    kind = conversion.backbone['type']
    if (kind, target) not in WRITERS:
        targets = [to for backbone, to in WRITERS if backbone == kind]
        raise ValueError(f'{kind} cannot be written for {target}, only for {", ".join(["mmdet", *targets])}')
    if len(classifier) not in (0, len(CLASSIFIER)):
        raise ValueError(f'of the classifier only {list(classifier)} is there: it needs {list(CLASSIFIER)}')
    tensors = {**conversion.state_dict, **classifier}
    written = WRITERS[kind, target](tensors, conversion.backbone)
    return conversion._replace(state_dict=written, renamed=_renamed(conversion, tensors, written))


def _renamed(
    conversion: Conversion, tensors: Mapping[str, Tensor], written: Mapping[str, Tensor]
) -> List[Tuple[str, str]]:
    """Names of the source and of the target, of the tensors that both have."""
    before = {new: old for old, new in conversion.renamed}
    sources = {id(tensor): before.get(name, name) for name, tensor in tensors.items()}
    pairs = [(sources.get(id(tensor), name), name) for name, tensor in written.items()]
    return [(old, new) for old, new in pairs if old != new and old not in conversion.added]
