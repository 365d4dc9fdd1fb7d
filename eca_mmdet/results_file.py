"""Write the results of an evaluation as JSON and as text tables."""

import json
import math
from pathlib import Path
from typing import Any, Dict, List, Sequence, Union

from terminaltables import AsciiTable

from .atomic_write import write_text


def plain(value: Any) -> Any:
    """Convert a value for JSON: NaN becomes ``None``, infinity and unknown objects become text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(inner) for inner in value]
    if hasattr(value, 'tolist'):  # numpy and torch
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def write_results(path: Union[str, Path], results: Dict[str, Any], **about: Any) -> None:
    """Write the results and a description of the run as JSON, atomically."""
    write_text(path, json.dumps({**plain(about), 'results': plain(results)}, indent=2) + '\n')


def cell(value: Any) -> str:
    """Format a value for a table; ``None`` becomes ``-``."""
    if isinstance(value, float):
        return f'{value:.3f}' if value == 0 or abs(value) >= 0.001 else f'{value:.3g}'
    return '-' if value is None else str(value)


def text_table(head: List[str], rows: Sequence[Sequence[str]]) -> str:
    """Format a text table whose first column is left-justified and whose other columns are not."""
    table = AsciiTable([head, *map(list, rows)])
    table.justify_columns = dict.fromkeys(range(1, len(head)), 'right')
    return table.table
