"""Compare every row of the published tables with computed costs."""

from functools import cache

import pytest
from published.comparison import compare, comparison_text, format_like
from published.tables import PUBLISHED
from reference import LAYERS, official_state_dict

from eca_mmdet.analysis import CONVENTIONS, build_backbone

ROWS = [(name, row.name) for name, table in PUBLISHED.items() for row in table.rows]
MISPRINTED = ('imagenet', 'ECA-Net152')
# Sizes of the released files in bytes, from timm's model index.
FILE_SIZES = {
    'ecaresnet101d': 178815067,
    'ecaresnet101d_pruned': 99852736,
    'ecaresnet50d_pruned': 79990436,
    'ecaresnet50d': 102579290,
    'ecaresnetlight': 120956612,
}


@cache
def compared(table, name):
    row = next(row for row in PUBLISHED[table].rows if row.name == name)
    return compare(PUBLISHED[table], row)


@pytest.mark.parametrize(('table', 'name'), [row for row in ROWS if row != MISPRINTED])
def test_parameters__equal_the_published_digits(table, name):
    row = compared(table, name)
    assert row['printed']['parameters'] == row['published']['parameters']


def test_parameters__of_ecanet152_differ_from_the_misprint():
    """60,193,042 / 2^20 is 57.4046. The other five rows are consistent with this unit."""
    row = compared(*MISPRINTED)
    assert row['parameters'] == 60_193_042
    assert (row['published']['parameters'], row['printed']['parameters']) == ('57.41M', '57.40M')


@pytest.mark.parametrize(('table', 'name'), ROWS)
def test_operations__agree_within_one_percent(table, name):
    assert abs(compared(table, name)['deviation']) < 0.01


@pytest.mark.parametrize('depth', LAYERS)
def test_parameters__equal_those_of_the_reference_network(depth):
    names = ('weight', 'bias')
    total = sum(v.numel() for k, v in official_state_dict(depth).items() if k.endswith(names))
    assert compared('imagenet', f'ECA-Net{depth}')['parameters'] == total


@pytest.mark.parametrize('name', FILE_SIZES)
def test_timm_parameters__match_the_size_of_the_released_files(name):
    """A file has four bytes per parameter and running statistic, and less than 0.3 % for names."""
    model = build_backbone(name, classes=1000)
    stored = 4 * sum(tensor.numel() for tensor in model.state_dict().values())
    assert stored < FILE_SIZES[name] < stored * 1.003


def test_published_tables__have_all_seventeen_rows():
    assert {name: len(table.rows) for name, table in PUBLISHED.items()} == dict(imagenet=6, timm=5, coco=6)


@pytest.mark.parametrize(
    ('published', 'value', 'binary', 'printed'),
    [
        ('24.37M', 25_557_112, True, '24.37M'),
        ('44.18M', 44_175_420, False, '44.18M'),
        ('319.9M', 320 * 2**20, True, '320.0M'),
        ('10.83G', 11 * 2**30, True, '11.00G'),
        ('25,576,350', 1_234_567, False, '1,234,567'),
    ],
)
def test_format_like__uses_unit_and_decimals_of_the_published_value(published, value, binary, printed):
    assert format_like(published, value, binary) == printed


def test_comparison_text__shows_source_convention_and_both_values():
    table = PUBLISHED['imagenet']
    rows = [compared('imagenet', 'ECA-Net18')]
    text = comparison_text(
        dict(
            imagenet=dict(
                title=table.title,
                source=table.source,
                shape=table.shape,
                counted=CONVENTIONS[table.convention].note,
                note=table.note,
                rows=rows,
            )
        )
    )
    for part in (table.source, '224x224', 'thop', '| ECA-Net18 |', '11.15M |   11.15M', '1.70G |'):
        assert part in text
