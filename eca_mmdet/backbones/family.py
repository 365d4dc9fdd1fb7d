"""Descriptions of the architecture families: what the rest of the package needs to know about a backbone.

Each family is described once, by a ``Family``. Checks, conversion and cost tables ask the description
and never name a family themselves. ``docs/extending.md`` shows how to add one.
"""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from torch import Tensor, nn

from .kernel_sizes import KernelSizes

Table = Sequence[Tuple[str, str]]
"""Ordered pairs of a regular expression and its replacement, all applied to every tensor name."""

CLASSIFIER = ('fc.weight', 'fc.bias')


@dataclass(frozen=True)
class SourceFormat:
    """A naming scheme of checkpoints of one family.

    Args:
        name: What ``--source`` calls it. A family may have several variants of a format.
        title: The format in words, for the report.
        has: Patterns such as ``'layer*.eca.conv.weight'``; each must match a tensor name.
        lacks: Patterns that must not match any tensor name.
        classifier: Whether a file must have a classifier (``True``) or must not (``False``) to be
            recognised; ``None`` if it does not matter.
        table: Renames the tensors to the names of the family's backbone, and those of the classifier
            to ``Family.classifier``.
    """

    name: str
    title: str
    has: Tuple[str, ...]
    lacks: Tuple[str, ...] = ()
    classifier: Optional[bool] = None
    table: Table = ()

    def mismatch(self, names: Iterable[str]) -> str:
        """Say why these tensor names are not of this format; return an empty string if they are."""
        names = list(names)
        for pattern in self.has:
            if not any(fnmatchcase(name, pattern) for name in names):
                return f'no tensor is named like {pattern!r}'
        for pattern in self.lacks:
            found = next((name for name in names if fnmatchcase(name, pattern)), None)
            if found:
                return f'it has {found!r}, and files of this format have no {pattern!r}'
        return ''


def wrapped_format(
    name: str, has: Tuple[str, ...] = (), lacks: Tuple[str, ...] = (), table: Table = ()
) -> SourceFormat:
    """Describe the classifier of MMPretrain that contains a backbone, with mmdet's names.

    Args:
        name: A tensor that every backbone of the family has.
        has: Further patterns, see ``SourceFormat``.
        lacks: Patterns that must not match.
        table: Renames what is named differently inside of the backbone.
    """
    return SourceFormat(
        'mmpretrain',
        'MMPretrain classifier',
        (f'backbone.{name}', *has),
        ('neck.*', '*_head.*', *lacks),
        table=((r'^backbone\.', ''), (r'^head\.fc\.', 'fc.'), *table),
    )


@dataclass(frozen=True)
class TargetFormat:
    """A naming scheme that a backbone can be written in.

    Args:
        table: Renames the tensors of the backbone and its classifier.
        check: Called with the config of the backbone; raises ``ValueError`` if the format has no
            such network.
    """

    table: Table
    check: Callable[[Mapping[str, Any]], None] = lambda backbone: None


@dataclass(frozen=True)
class Family:
    """What is special about one architecture family.

    Args:
        backbone: The registered class.
        block: Regular expression of a block's name, with the number of its stage as first group.
        plain_layers: Regular expression of the layers in a block of the network without attention.
        stages: Number of stages.
        read_arguments: Maps the tensors of a backbone and the kernel sizes that the user asked for
            (for a network without ECA) to the arguments of the backbone. Only names and shapes are read.
        describe: Describes the config of a backbone in words.
        attentions: Names of the attention layers that converted networks may have.
        eca: Name of the ECA layer in a block.
        sources: The formats that can be converted to this backbone.
        targets: The formats that it can be converted to, by name.
        classifier: Names of the tensors behind the backbone in an image classifier.
        variants: Named networks of this family, as arguments of the backbone.
        input_size: Height and width that cost tables assume for an image classifier.
    """

    backbone: type
    block: str
    plain_layers: str
    stages: int
    read_arguments: Callable[[Mapping[str, Tensor], KernelSizes], Dict[str, Any]]
    describe: Callable[[Mapping[str, Any]], str]
    attentions: Tuple[str, ...] = ('eca',)
    eca: str = 'eca'
    sources: Tuple[SourceFormat, ...] = ()
    targets: Mapping[str, TargetFormat] = field(default_factory=dict)
    classifier: Tuple[str, ...] = CLASSIFIER
    variants: Mapping[str, Dict[str, Any]] = field(default_factory=dict)
    input_size: Tuple[int, int] = (224, 224)

    @property
    def name(self) -> str:
        """The ``type`` of the backbone in a config."""
        return self.backbone.__name__

    def split(self, name: str) -> Optional['BlockTensor']:
        """Split the name of a tensor in a block, with or without a prefix such as ``backbone.``."""
        match = re.fullmatch(rf'((?:.+\.)?({self.block}))\.(\w+)\.(.+)', name)
        if not match:
            return None
        block, within, stage, layer, tensor = match.groups()
        return BlockTensor(block[: len(block) - len(within)], within, int(stage), layer, tensor)

    def foreign_layer(self, names: Iterable[str]) -> Optional[str]:
        """Return the first tensor in a block that converted networks of this family cannot have."""
        for name in names:
            part = self.split(name)
            if part and part.layer not in self.attentions and not self.is_plain(part.layer):
                return name
        return None

    def is_plain(self, layer: str) -> bool:
        """Whether the network without attention has this layer in its blocks."""
        return re.fullmatch(self.plain_layers, layer) is not None


class BlockTensor(NamedTuple):
    """The parts of the name of a tensor in a block: ``backbone.layer1.0.eca.conv.weight``."""

    prefix: str  # 'backbone.'
    block: str  # 'layer1.0'
    stage: int  # 1
    layer: str  # 'eca'
    tensor: str  # 'conv.weight'


FAMILIES: List[Family] = []


def register_family(family: Family) -> Family:
    """Add a family to those that checks and conversion know."""
    FAMILIES.append(family)
    return family


def family_of(backbone: nn.Module) -> Family:
    """Find the family of a backbone by its class.

    Raises:
        ValueError: If no family describes the class.
    """
    for family in FAMILIES:
        if isinstance(backbone, family.backbone):
            return family
    raise ValueError(
        f'{type(backbone).__name__} belongs to no known family, so its weights cannot be checked. Known are '
        f'{", ".join(family.name for family in FAMILIES)}. Describe it with register_family '
        '(eca_mmdet/backbones/family.py)'
    )


def split_block_name(name: str) -> Optional[BlockTensor]:
    """Split the name of a tensor in a block of any family; return ``None`` for other tensors."""
    return next(filter(None, (family.split(name) for family in FAMILIES)), None)


def is_plain_layer(layer: str) -> bool:
    """Whether the network without attention has this layer in its blocks, in any family."""
    return any(family.is_plain(layer) for family in FAMILIES)
