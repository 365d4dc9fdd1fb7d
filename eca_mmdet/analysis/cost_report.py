"""The cost of one model, as text and as data."""

from typing import Any, Dict, List, Sequence

from terminaltables import AsciiTable

from .conventions import CONVENTIONS
from .cost import Cost, Part


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
    return f'{title}\n{table_text(header, rows)}\nCounted ({convention}): {CONVENTIONS[convention].note}'


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


def table_text(header: Sequence[str], rows: List[List[str]]) -> str:
    """Lay out a table for a terminal, with numbers aligned to the right."""
    table = AsciiTable([list(header), *rows])
    table.justify_columns = dict.fromkeys(range(1, len(header)), 'right')
    return table.table
