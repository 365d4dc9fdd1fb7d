"""Parse ``--cfg-options KEY=VALUE`` without changing spaces, quoted strings or paths.

mmengine's ``DictAction`` removes all spaces from values, splits quoted strings, and fails with a traceback if
an argument has no ``=`` or an unmatched bracket. Numbers, bools, ``None`` and lists are parsed as there.
"""

import argparse
from typing import Any, List, Optional, Sequence

from mmengine.config import DictAction

PATH_KEYS = (
    'data_root', 'work_dir', 'load_from', 'ann_file', 'proposal_file', 'checkpoint', 'img', 'seg',
    'seg_prefix', 'img_path', 'seg_map_path', 'outfile_prefix', 'out_file_path', 'out_dir', 'test_out_dir',
)  # fmt: skip
"""Options with these names are paths, which may contain commas, brackets and digits."""

_PAIRS = {'(': ')', '[': ']'}


class SpaceKeepingDictAction(DictAction):
    """Collect ``KEY=VALUE`` arguments in a dict.

    Values in quotes, paths (see ``PATH_KEYS``) and values with unmatched brackets are strings. ``V1,V2``,
    ``[V1,V2]`` and ``(V1,V2)`` are lists and tuples.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: Optional[str] = None,
    ) -> None:
        """Add the arguments to the namespace. The parser exits if one is not ``KEY=VALUE``."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for argument in values:
            key, equals, value = argument.partition('=')
            if not equals or not all(key.split('.')):
                raise argparse.ArgumentError(
                    self,
                    f'expected KEY=VALUE, got {argument!r}. Use quotes if there are spaces: "KEY=A B"',
                )
            options[key] = parse_path(value) if key.split('.')[-1] in PATH_KEYS else parse_value(value)
        setattr(namespace, self.dest, options)


def parse_path(text: str) -> Optional[str]:
    """Parse a path. ``None`` stands for no path."""
    return None if text == 'None' else _unquoted(text)


def parse_value(text: str) -> Any:
    """Parse a number, bool, ``None``, list, tuple or string."""
    if _unquoted(text) != text:
        return _unquoted(text)
    inner = text.strip()
    items = _split(inner[1:-1]) if inner[:1] in _PAIRS and inner[-1] == _PAIRS[inner[0]] else None
    is_enclosed = items is not None
    items = items or _split(inner)
    if items is None or not (is_enclosed or len(items) > 1):
        value = DictAction._parse_int_float_bool(inner)
        return text if isinstance(value, str) else value
    if not items[-1].strip():
        items.pop()  # allow a comma after the last element
    parsed = [parse_value(item.strip()) for item in items]
    return tuple(parsed) if is_enclosed and inner[0] == '(' else parsed


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in '\'"' and text[0] not in text[1:-1]
    return text[1:-1] if is_quoted else text


def _split(text: str) -> Optional[List[str]]:
    """Split at commas outside quotes and brackets. Return ``None`` if they are unmatched."""
    items, quote = [''], ''
    closing: List[str] = []
    for index, char in enumerate(text):
        if char == ',' and not closing and not quote:
            items.append('')
            continue
        if quote:
            quote = '' if char == quote else quote
        elif char in '\'"' and not items[-1].strip(' ([') and char in text[index + 1 :]:
            quote = char
        elif char in _PAIRS:
            closing.append(_PAIRS[char])
        elif char in _PAIRS.values() and (not closing or closing.pop() != char):
            return None
        items[-1] += char
    return None if closing or quote else items
