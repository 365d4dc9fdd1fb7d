"""Compare published cost tables with computed costs, as text and as data."""

import re
from typing import Any, Dict, Iterable

from eca_mmdet.analysis import CONVENTIONS, build_backbone, build_detector, count_cost, table_text

from .mmdet1_heads import as_mmdet1
from .tables import PUBLISHED, PublishedTable, Row


def compare(table: PublishedTable, row: Row) -> Dict[str, Any]:
    """Compute the cost of a row of a published table.

    Returns:
        The published strings, the computed numbers, and the computed numbers in the published format.
    """
    is_detector = 'config' in row.model
    options = row.model.get('options')
    if is_detector:
        model = as_mmdet1(build_detector(row.model['config'], options))
    else:
        model = build_backbone(row.model['backbone'], options, classes=1000)
    total = count_cost(model, table.shape, CONVENTIONS[table.convention]).total
    parameters = total.trainable if is_detector else total.parameters
    return dict(
        model=row.name,
        parameters=parameters,
        operations=total.operations,
        published=dict(parameters=row.parameters, operations=row.operations),
        printed=dict(
            parameters=format_like(row.parameters, parameters, table.binary),
            operations=format_like(row.operations, total.operations, table.binary),
        ),
        deviation=total.operations / _parse(row.operations, table.binary) - 1,
    )


def _unit(published: str, binary: bool) -> int:
    power = ' MG'.index(published[-1]) + 1 if published[-1] in 'MG' else 0
    return (2**10 if binary else 10**3) ** power


def _parse(published: str, binary: bool) -> float:
    return float(published.rstrip('MG').replace(',', '')) * _unit(published, binary)


def format_like(published: str, value: int, binary: bool) -> str:
    """Format ``value`` with the unit and number of decimals of a published number.

    Args:
        published: Published number, such as ``'24.37M'`` or ``'25,576,350'``.
        value: Number to format.
        binary: Whether M means 2^20 and G means 2^30.
    """
    unit = published[-1] if published[-1] in 'MG' else ''
    decimals = len(re.search(r'(?:\.(\d+))?[MG]?$', published)[1] or '')
    return f'{value / _unit(published, binary):{"" if unit else ","}.{decimals}f}{unit}'


def compare_all(names: Iterable[str] = tuple(PUBLISHED)) -> Dict[str, Any]:
    """Compare the published tables with the given names, by default all of them."""
    return {
        name: dict(
            title=table.title,
            source=table.source,
            shape=table.shape,
            convention=table.convention,
            counted=CONVENTIONS[table.convention].note,
            note=table.note,
            rows=[compare(table, row) for row in table.rows],
        )
        for name, table in ((name, PUBLISHED[name]) for name in names)
    }


def comparison_text(tables: Dict[str, Any]) -> str:
    """Format the result of ``compare_all`` as tables."""
    header = ['model', 'Param. published', 'computed', 'FLOPs published', 'computed', 'deviation']
    blocks = []
    for table in tables.values():
        rows = [
            [
                row['model'],
                row['published']['parameters'],
                row['printed']['parameters'],
                row['published']['operations'],
                row['printed']['operations'],
                f'{row["deviation"]:+.2%}',
            ]
            for row in table['rows']
        ]
        height, width = table['shape']
        blocks.append(
            f'{table["title"]} (published: {table["source"]})\n{table_text(header, rows)}\n'
            f'Image {height}x{width}. {table["counted"]}\n{table["note"]}'
        )
    return '\n\n'.join(blocks)
