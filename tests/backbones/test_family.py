"""The descriptions of the architecture families, which checks and conversion depend on."""

import pytest
from mmdet.models.backbones import MobileNetV2

from eca_mmdet.backbones import BYOBNET, FAMILIES, MOBILENET_V2, RESNET
from eca_mmdet.backbones.checked_weights import CheckedWeights
from eca_mmdet.backbones.family import family_of, split_block_name


class Undescribed(CheckedWeights, MobileNetV2):
    """A backbone that checks its weights but belongs to no family."""


def test_family_of__finds_the_family_of_subclasses():
    class Derived(RESNET.backbone):
        pass

    assert family_of(Derived(18)) is RESNET


def test_family_of__rejects_a_backbone_that_no_family_describes():
    with pytest.raises(ValueError, match='Undescribed belongs to no registered family.*register_family'):
        family_of(Undescribed())


def test_loading__into_a_backbone_without_a_family_is_an_error():
    backbone = Undescribed()
    with pytest.raises(ValueError, match='belongs to no registered family'):
        backbone.load_state_dict(backbone.state_dict())


@pytest.mark.parametrize('family', FAMILIES, ids=lambda family: family.name)
def test_family__recognises_every_block_and_no_foreign_layer_in_its_own_backbone(family):
    arguments = next(iter(family.variants.values()))
    names = list(family.backbone(**arguments).state_dict())
    parts = [family.split(f'backbone.{name}') for name in names]
    assert {part.stage for part in parts if part} == set(range(1, family.stages + 1))
    assert {part.prefix for part in parts if part} == {'backbone.'}
    assert family.eca in {part.layer for part in parts if part}
    assert family.foreign_layer(names) is None
    assert family.foreign_layer([*names, 'layer1.0.other.weight']) == 'layer1.0.other.weight'


@pytest.mark.parametrize(
    ('name', 'expected'),
    [
        ('layer3.11.eca.conv.weight', ('', 'layer3.11', 3, 'eca', 'conv.weight')),
        ('backbone.layer1.0.bn1.bias', ('backbone.', 'layer1.0', 1, 'bn1', 'bias')),
        ('conv1.weight', None),
        ('layer1.weight', None),
    ],
)
def test_split_block_name__returns_the_parts_of_the_name(name, expected):
    assert split_block_name(name) == expected


def test_source_formats__of_different_families_have_different_signatures():
    signatures = [
        (family.name, source.has, source.lacks, source.classifier)
        for family in (RESNET, MOBILENET_V2, BYOBNET)
        for source in family.sources
    ]
    assert len({signature[1:] for signature in signatures}) == len(signatures)
