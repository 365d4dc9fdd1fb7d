"""Describe each architecture family once, for the rest of the package.

A ``Family`` lists block names, checkpoint formats and variants. Checks, conversion and cost tables read
it and contain no code for a single family. ``docs/extending.md`` shows how to add a family.
"""

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from torch import Tensor, nn

from .kernel_sizes import KernelSizes

Table = Sequence[Tuple[str, str]]
"""Pairs of a regular expression and its replacement, all applied in order to every tensor name."""

CLASSIFIER = ('fc.weight', 'fc.bias')


@dataclass(frozen=True)
class SourceFormat:
    """A naming scheme of checkpoints of one family.

    Args:
        name: Its name for the option ``--source``. Several formats of a family may share a name.
        title: Its description in the report of a conversion.
        has: Patterns such as ``'layer*.eca.conv.weight'``; each must match a tensor name.
        lacks: Patterns that must not match any tensor name.
        classifier: Whether checkpoints of this format have a classifier; ``None`` for either.
        table: Renames the tensors to those of the family's backbone and its ``classifier``.
    """

    name: str
    title: str
    has: Tuple[str, ...]
    lacks: Tuple[str, ...] = ()
    classifier: Optional[bool] = None
    table: Table = ()

    def mismatch(self, names: Iterable[str]) -> str:
        """Return why the tensor names are not of this format, or an empty string if they are."""
        names = list(names)
        for pattern in self.has:
            if not any(fnmatchcase(name, pattern) for name in names):
                return f'no tensor is named like {pattern!r}'
        for pattern in self.lacks:
            found = next((name for name in names if fnmatchcase(name, pattern)), None)
            if found:
                return f'it has {found!r}, but checkpoints of this format have no {pattern!r}'
        return ''


def wrapped_format(
    name: str, has: Tuple[str, ...] = (), lacks: Tuple[str, ...] = (), table: Table = ()
) -> SourceFormat:
    """Describe the format of an MMPretrain classifier whose backbone has mmdet's names.

    Args:
        name: A tensor that every backbone of the family has.
        has: Further patterns that must match, see ``SourceFormat``.
        lacks: Further patterns that must not match.
        table: Renames the tensors of the backbone whose names differ from mmdet's.
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
        check: Called with the config of the backbone. Raises ``ValueError`` if the format cannot
            express this network.
    """

    table: Table
    check: Callable[[Mapping[str, Any]], None] = lambda backbone: None


SE_ARGUMENTS: Dict[str, Any] = dict(attention=dict(type='SELayer', ratio=16, bias=False))
"""Arguments of the SE networks of the paper (arXiv 1910.03151)."""
CLASSIFIER_TABLE: Table = ((r'^fc\.', 'head.fc.'), (r'^(?!head\.fc\.)', 'backbone.'))
"""Names in MMPretrain's ``ImageClassifier`` on a backbone of this package."""


@dataclass(frozen=True)
class Family:
    """The description of one architecture family.

    Args:
        backbone: The registered class.
        block: Regular expression for the name of a block. Its first group is the stage number.
        plain_layers: Regular expression for the layers that blocks have without attention.
        stages: Number of stages.
        read_arguments: Derives the arguments of a backbone from the names and shapes of its tensors.
            Its second argument sets the kernel sizes for a network without attention; ``NO_ECA`` leaves it
            without.
        describe: Describes the config of a backbone in words.
        attentions: Names of the attention layers that converted networks may have.
        eca: Name of the ECA layer in a block.
        sources: Source formats of a conversion to this backbone.
        targets: Target formats of a conversion from this backbone, by name.
        classifier: Names of the tensors that follow the backbone in an image classifier.
        variants: Named networks of this family, as arguments of the backbone.
        imagenet_configs: Configs of image classifiers, by file name in ``configs/classification``, as
            arguments of the backbone.
        input_size: Height and width of the input in cost tables of image classifiers.
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
    imagenet_configs: Mapping[str, Dict[str, Any]] = field(default_factory=dict)
    input_size: Tuple[int, int] = (224, 224)

    @property
    def name(self) -> str:
        """The ``type`` of the backbone in a config."""
        return self.backbone.__name__

    def split(self, name: str) -> Optional['BlockTensor']:
        """Split the name of a tensor in a block; return ``None`` for other tensors.

        The name may have a prefix such as ``backbone.``.
        """
        match = re.fullmatch(rf'((?:.+\.)?({self.block}))\.(\w+)\.(.+)', name)
        if not match:
            return None
        path, block, stage, layer, tensor = match.groups()
        return BlockTensor(path[: len(path) - len(block)], block, int(stage), layer, tensor)

    def foreign_layer(self, names: Iterable[str]) -> Optional[str]:
        """Return the first tensor of a layer that converted networks of this family cannot have."""
        for name in names:
            part = self.split(name)
            if part and part.layer not in self.attentions and not self.is_plain(part.layer):
                return name
        return None

    def is_plain(self, layer: str) -> bool:
        """Whether blocks without attention have this layer."""
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
    """Make a family known to checks, conversion and cost tables."""
    FAMILIES.append(family)
    return family


def find_variant(name: str) -> Tuple[Family, Dict[str, Any]]:
    """Find a named backbone: a depth of ``ECAResNet``, ``'mobilenet_v2'`` or timm's name.

    Returns:
        The family, and the config of the backbone.

    Raises:
        ValueError: If no family has a variant of this name.
    """
    for family in FAMILIES:
        if name in family.variants:
            return family, dict(type=family.name, **family.variants[name])
    names = [name for family in FAMILIES for name in family.variants]
    raise ValueError(f'--backbone {name}: allowed are {", ".join(names)}')


def family_of(backbone: nn.Module) -> Family:
    """Find the family of a backbone by its class.

    Raises:
        ValueError: If no family describes the class.
    """
    for family in FAMILIES:
        if isinstance(backbone, family.backbone):
            return family
    raise ValueError(
        f'{type(backbone).__name__} belongs to no registered family, so its weights cannot be checked. '
        f'Registered are {", ".join(family.name for family in FAMILIES)}. Add its family with '
        'register_family (eca_mmdet/backbones/family.py)'
    )


def split_block_name(name: str) -> Optional[BlockTensor]:
    """Split the name of a tensor in a block of any family; return ``None`` for other tensors."""
    return next(filter(None, (family.split(name) for family in FAMILIES)), None)


def is_plain_layer(layer: str) -> bool:
    """Whether blocks without attention have this layer in any family."""
    return any(family.is_plain(layer) for family in FAMILIES)
