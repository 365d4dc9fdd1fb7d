"""Rename tensors, by ordered patterns or by removing the prefixes of wrappers."""

import re
from typing import Dict, Iterable, Mapping

from ..backbones.family import Table


def rename(names: Iterable[str], table: Table) -> Dict[str, str]:
    """Apply every pair of a table, in order, to every name.

    Returns:
        Old name to new name.

    Raises:
        ValueError: If two names become the same.
    """
    result = {}
    for name in names:
        new = name
        for pattern, replacement in table:
            new = re.sub(pattern, replacement, new)
        result[name] = new
    refuse_collisions(result)
    return result


def plain_names(names: Iterable[str], strip_model: bool = True) -> Dict[str, str]:
    """Remove wrapper prefixes from tensor names.

    Args:
        names: Names of tensors.
        strip_model: Whether to remove ``model.`` too if all names start with it.

    Returns:
        Old name to new name.

    Raises:
        ValueError: If two names become the same.
    """
    plain = {name: re.sub(r'(?:^|(?<=\.))_orig_mod\.', '', name) for name in names}
    before = None
    while plain != before:
        before = plain
        plain = {name: re.sub(r'^(module\.)+', '', new) for name, new in plain.items()}
        if strip_model and all(re.match(r'model\..', new) for new in plain.values()):
            plain = {name: new[len('model.') :] for name, new in plain.items()}
    refuse_collisions(plain)
    return plain


def refuse_collisions(renamed: Mapping[str, str]) -> None:
    """Refuse a renaming that gives two tensors the same name.

    Raises:
        ValueError: If two old names have the same new name; the message contains all three.
    """
    taken: Dict[str, str] = {}
    for name, new in renamed.items():
        if new in taken:
            raise ValueError(
                f'two tensors of the file, {taken[new]!r} and {name!r}, would both be named {new!r}'
            )
        taken[new] = name
