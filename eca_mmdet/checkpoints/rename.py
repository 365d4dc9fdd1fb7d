"""Rename tensors by ordered patterns; two tensors never get the same name."""

import re
from typing import Dict, Iterable, Mapping

from ..backbones.family import Table


def rename(names: Iterable[str], table: Table) -> Dict[str, str]:
    """Apply every pair of a table, in order, to every name.

    Returns:
        Old name to new name.

    Raises:
        ValueError: If two names become one.
    """
    result = {}
    for name in names:
        new = name
        for pattern, replacement in table:
            new = re.sub(pattern, replacement, new)
        result[name] = new
    refuse_collisions(result)
    return result


def refuse_collisions(renamed: Mapping[str, str]) -> None:
    """Raise an error if two old names have the same new name.

    Raises:
        ValueError: If they have, with the three names.
    """
    taken: Dict[str, str] = {}
    for name, new in renamed.items():
        if new in taken:
            raise ValueError(
                f'two tensors of the file, {taken[new]!r} and {name!r}, would both be named {new!r}'
            )
        taken[new] = name
