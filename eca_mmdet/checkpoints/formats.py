"""List the checkpoint formats, recognise the format of a checkpoint, and convert it to another.

A source format of a backbone is an entry of ``Family.sources``, a target format one of
``Family.targets``. This module adds whole detectors and the backbone inside a detector.
"""

from functools import partial
from typing import Any, Callable, List, NamedTuple, Optional, Tuple

from ..backbones.family import CLASSIFIER, FAMILIES, Family, SourceFormat
from ..backbones.kernel_sizes import NO_ECA, KernelSizes
from .conversion import Conversion, convert_backbone
from .detector_conversion import VERSIONS, convert_detector, detector_version, recognise_detector
from .find_weights import Found, find_weights
from .rename import rename

BACKBONE_OF_DETECTOR = 'backbone-of-detector'


class Format(NamedTuple):
    """An entry of the table of source formats."""

    name: str  # what --source calls it
    recognise: Callable[[Found], bool]  # whether a file without a stated format has this one
    mismatch: Callable[[Found], str]  # why a file cannot be of this format; empty if it can
    convert: Callable[[Found, KernelSizes], Conversion]
    is_plausible: Callable[[Found], bool] = lambda found: True  # decides if several recognise the file
    has_own_names: bool = False  # whether the tensors already have the names of our backbone


def formats() -> List[Format]:
    """Return the table: the formats of all families, those of detectors, and the backbone of a detector."""
    backbones = [_backbone_format(family, source) for family in FAMILIES for source in family.sources]
    detectors = [_detector_format(version) for version in VERSIONS]
    # Never recognised automatically: without --source, a detector is converted as a whole.
    inner = Format(BACKBONE_OF_DETECTOR, lambda found: False, lambda found: '', _convert_inner_backbone)
    return [*backbones, *detectors, inner]


def source_names() -> Tuple[str, ...]:
    """Return the names of all source formats."""
    return tuple(dict.fromkeys(entry.name for entry in formats()))


def target_names() -> Tuple[str, ...]:
    """Return the names of all target formats."""
    return ('mmdet', *dict.fromkeys(name for family in FAMILIES for name in family.targets))


def recognise(found: Found) -> Format:
    """Find the one format that the weights of a checkpoint have.

    Raises:
        ValueError: If there is none, or more than one.
    """
    matches = _most_plausible([entry for entry in formats() if entry.recognise(found)], found)
    if len(matches) == 1:
        return matches[0]
    if matches:
        names = ' and '.join(dict.fromkeys(entry.name for entry in matches))
        raise ValueError(f'not sure what this is: the names fit {names}; choose one with --source')
    if any(name.startswith('backbone.') for name in found.tensors):
        raise ValueError(
            'it is a whole model that cannot be converted. Convert its backbone alone with '
            f'--source {BACKBONE_OF_DETECTOR} (source={BACKBONE_OF_DETECTOR!r} in Python)'
        )
    raise ValueError(
        f'no known format: its {len(found.tensors)} tensors are named like {sorted(found.tensors)[:3]}; '
        f'known are {", ".join(source_names())} (--source says which it is)'
    )


def convert(
    checkpoint: Any,
    source: Optional[str] = None,
    target: str = 'mmdet',
    eca_kernel_sizes: KernelSizes = None,
    weights: Optional[str] = None,
) -> Conversion:
    """Convert the weights in a checkpoint.

    Args:
        checkpoint: A state_dict, a dict with one in a container, or a result of ``find_weights``.
        source: One of ``source_names()``, or ``None`` to recognise the format.
        target: One of ``target_names()``. Whole detectors can only be written for mmdet.
        eca_kernel_sizes: Kernel sizes for a network without attention, or ``'none'`` to add no ECA to it;
            ``None`` for those of its depth, except that no ECA is added to a classifier for MMPretrain.
        weights: The container to use, if there are several.

    Returns:
        The conversion. Its state_dict has the names of the target format, and includes a classifier if
        both formats have one.

    Raises:
        ValueError: If the format is not recognised, the tensors do not fit it, or the target cannot
            hold the network.
    """
    if source is not None and source not in source_names():
        raise ValueError(f'source={source!r}: allowed are {", ".join(source_names())}')
    if target not in target_names():
        raise ValueError(f'target={target!r}: allowed are {", ".join(target_names())}')
    found = find_weights(checkpoint, weights)
    entry = _named(source, found) if source else recognise(found)
    if target == 'mmpretrain' and eca_kernel_sizes is None:
        eca_kernel_sizes = NO_ECA  # a classifier with untrained ECA would predict nonsense
    conversion = entry.convert(found, eca_kernel_sizes)
    if target == 'mmdet':
        return _without_classifier(conversion)
    if conversion.detector:
        raise ValueError('a whole detector can only be written for mmdet: leave --to out')
    return _to_target(conversion, target)


def _named(name: str, found: Found) -> Format:
    """Return the entry with a given name that fits the file."""
    variants = [entry for entry in formats() if entry.name == name]
    matches = _most_plausible([entry for entry in variants if not entry.mismatch(found)], found)
    if not matches:
        reasons = dict.fromkeys(entry.mismatch(found) for entry in variants)
        raise ValueError(f'it is not a checkpoint of the format {name!r}: {"; or ".join(reasons)}')
    return matches[0]


def _most_plausible(matches: List[Format], found: Found) -> List[Format]:
    """Return the plausible ones of several formats, or all if none is plausible."""
    if len(matches) < 2:
        return matches
    return [entry for entry in matches if entry.is_plausible(found)] or matches


def _backbone_format(family: Family, source: SourceFormat) -> Format:
    def is_recognised(found: Found) -> bool:
        has_classifier = 'fc.weight' in found.tensors
        return source.classifier in (None, has_classifier) and not source.mismatch(found.tensors)

    return Format(
        source.name,
        is_recognised,
        mismatch=lambda found: source.mismatch(found.tensors),
        convert=partial(convert_backbone, family, source),
        is_plausible=lambda found: not family.foreign_layer(rename(found.tensors, source.table).values()),
        has_own_names=not source.table,
    )


def _detector_format(version: str) -> Format:
    return Format(
        f'detector-{version}',
        lambda found: recognise_detector(found.tensors) and detector_version(found) == version,
        mismatch=lambda found: '',
        convert=partial(convert_detector, version),
    )


def _convert_inner_backbone(found: Found, eca_kernel_sizes: KernelSizes) -> Conversion:
    """Convert the backbone of a whole model and drop the other parts."""
    start = 'backbone.'
    inner = {name[len(start) :]: value for name, value in found.tensors.items() if name.startswith(start)}
    if not inner:
        raise ValueError(f"no name starts with 'backbone.'; the names are like {sorted(found.tensors)[:3]}")
    names = {name: found.names[start + name] for name in inner}
    backbone = found._replace(tensors=inner, names=names)
    conversion = recognise(backbone).convert(backbone, eca_kernel_sizes)
    parts = sorted({name.split('.')[0] for name in found.tensors if not name.startswith(start)})
    dropped = [f'{len(found.tensors) - len(inner)} tensors of {", ".join(parts)}'] if parts else []
    return conversion._replace(source='backbone of a detector', dropped=[*conversion.dropped, *dropped])


def _without_classifier(conversion: Conversion) -> Conversion:
    """Drop the classifier from a conversion and report it."""
    classifier = conversion.classifier
    return conversion._replace(
        dropped=conversion.dropped + [f'{name} {tuple(value.shape)}' for name, value in classifier.items()],
        renamed=[pair for pair in conversion.renamed if pair[1] not in classifier],
        classifier={},
    )


def _to_target(conversion: Conversion, target: str) -> Conversion:
    """Give the tensors of a backbone and its classifier the names of another format."""
    family = next(family for family in FAMILIES if family.name == conversion.backbone['type'])
    if target not in family.targets:
        allowed = ', '.join(['mmdet', *family.targets])
        raise ValueError(f'{family.name} cannot be written for {target}, only for {allowed}')
    linear = [name for name in CLASSIFIER if name in conversion.classifier]
    if len(linear) == 1:
        raise ValueError(f'the classifier has only {linear}, it needs {list(CLASSIFIER)}')
    written = family.targets[target]
    written.check(conversion.backbone)
    tensors = {**conversion.state_dict, **conversion.classifier}
    names = rename(tensors, written.table)
    before = {new: old for old, new in conversion.renamed}
    pairs = [(before.get(name, name), new) for name, new in names.items() if name not in conversion.added]
    return conversion._replace(
        state_dict={names[name]: value for name, value in tensors.items()},
        renamed=[(old, new) for old, new in pairs if old != new],
    )
