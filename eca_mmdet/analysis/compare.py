"""Published costs beside computed ones, and the cost of one model, as text and as data."""

import re
from typing import Any, Dict, Iterable, List, Sequence

from terminaltables import AsciiTable

from .build import as_mmdet1, build_backbone, build_detector
from .conventions import CONVENTIONS
from .cost import Cost, Part, count_cost
from .published import PUBLISHED, PublishedTable, Row


def compare(table: PublishedTable, row: Row) -> Dict[str, Any]:
    """Compute what a row of a published table states.

    Returns:
        The published strings, the computed numbers, and these printed as the published ones.
    """
    detector = 'config' in row.model
    options = row.model.get('options')
    if detector:
        model = as_mmdet1(build_detector(row.model['config'], options))
    else:
        model = build_backbone(row.model['backbone'], options, classes=1000)
    total = count_cost(model, table.shape, CONVENTIONS[table.convention]).total
    parameters = total.trainable if detector else total.parameters
    return dict(
        model=row.name,
        parameters=parameters,
        operations=total.operations,
        published=dict(parameters=row.parameters, operations=row.operations),
        printed=dict(
            parameters=printed_like(row.parameters, parameters, table.binary),
            operations=printed_like(row.operations, total.operations, table.binary),
        ),
        deviation=total.operations / _value(row.operations, table.binary) - 1,
    )


def _unit(published: str, binary: bool) -> int:
    power = ' MG'.index(published[-1]) + 1 if published[-1] in 'MG' else 0
    return (2**10 if binary else 10**3) ** power


def _value(published: str, binary: bool) -> float:
    return float(published.rstrip('MG').replace(',', '')) * _unit(published, binary)


def printed_like(published: str, value: int, binary: bool) -> str:
    """Print ``value`` with the unit and as many decimals as a published figure.

    Args:
        published: Such as ``'24.37M'`` or ``'25,576,350'``.
        value: A count.
        binary: Whether M is 2^20 and G 2^30.
    """
    unit = published[-1] if published[-1] in 'MG' else ''
    decimals = len(re.search(r'(?:\.(\d+))?[MG]?$', published)[1] or '')
    return f'{value / _unit(published, binary):{"" if unit else ","}.{decimals}f}{unit}'


def compare_all(names: Iterable[str] = tuple(PUBLISHED)) -> Dict[str, Any]:
    """Compare the named published tables, all by default."""
    return {
        name: dict(
            title=PUBLISHED[name].title,
            source=PUBLISHED[name].source,
            shape=PUBLISHED[name].shape,
            convention=PUBLISHED[name].convention,
            counted=CONVENTIONS[PUBLISHED[name].convention].note,
            note=PUBLISHED[name].note,
            rows=[compare(PUBLISHED[name], row) for row in PUBLISHED[name].rows],
        )
        for name in names
    }


def comparison_text(tables: Dict[str, Any]) -> str:
    """The result of ``compare_all`` for a terminal."""
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
            f'{table["title"]} (published: {table["source"]})\n{_text(header, rows)}\n'
            f'Image {height}x{width}. {table["counted"]}\n{table["note"]}'
        )
    return '\n\n'.join(blocks)


def cost_data(cost: Cost, **about: Any) -> Dict[str, Any]:
    """A cost as plain data; ``about`` says of what."""
    return dict(about, parts=[part._asdict() for part in cost.parts], total=cost.total._asdict())


def cost_text(cost: Cost, title: str, convention: str) -> str:
    """A cost for a terminal, in decimal units and in the binary ones of the ECANet tables.

    Args:
        cost: What ``count_cost`` returned.
        title: First line.
        convention: Name of the convention it was counted by.
    """
    counted = 'multiply-adds' if convention == 'macs' else 'operations'
    header = ['part', 'parameters', '10^6', '2^20', 'trainable', f'{counted}, 10^9', '2^30']
    header += ['attention: parameters', counted]
    rows = [_cells(part) for part in (*cost.parts, cost.total)]
    return f'{title}\n{_text(header, rows)}\nCounted ({convention}): {CONVENTIONS[convention].note}'


def _cells(part: Part) -> List[str]:
    return [
        part.name,
        f'{part.parameters:,}',
        f'{part.parameters / 1e6:.2f}',
        f'{part.parameters / 2**20:.2f}',
        f'{part.trainable:,}',
        f'{part.operations / 1e9:.3f}',
        f'{part.operations / 2**30:.3f}',
        f'{part.attention_parameters:,}',
        f'{part.attention_operations:,}',
    ]


def _text(header: Sequence[str], rows: List[List[str]]) -> str:
    table = AsciiTable([list(header), *rows])
    table.justify_columns = dict.fromkeys(range(1, len(header)), 'right')
    return table.table
