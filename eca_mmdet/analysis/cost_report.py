"""Report the cost of a model as text and as data."""

from typing import Any, Dict, List, Sequence

from terminaltables import AsciiTable

from .conventions import CONVENTIONS
from .cost import Cost, Part


def cost_data(cost: Cost, **about: Any) -> Dict[str, Any]:
    """Convert a cost to a dict; ``about`` adds entries that describe the model."""
    return dict(about, parts=[part._asdict() for part in cost.parts], total=cost.total._asdict())


def cost_text(cost: Cost, title: str, convention: str) -> str:
    """Format a cost as a table, in decimal units and in the binary units of the ECANet README.

    Args:
        cost: Result of ``count_cost``.
        title: First line of the text.
        convention: Name of the convention it was counted with.
    """
    unit = 'multiply-adds' if convention == 'macs' else 'operations'
    header = ['part', 'parameters', '10^6', '2^20', 'trainable', f'{unit}, 10^9', '2^30']
    header += ['attention: parameters', unit]
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
    """Format a table. All columns but the first are aligned to the right."""
    table = AsciiTable([list(header), *rows])
    table.justify_columns = dict.fromkeys(range(1, len(header)), 'right')
    return table.table
