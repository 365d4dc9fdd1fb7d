"""``--cfg-options KEY=VALUE``: mmengine's ``DictAction``, with values that arrive as they were written.

mmengine drops every space of a value, splits what is in quotes, and ends in a traceback where an argument
has no ``=`` or a bracket has no partner. The literals (numbers, ``True``, ``None``, lists) stay mmengine's.
"""

import argparse
from typing import Any, List, Optional, Sequence

from mmengine.config import DictAction

PATH_KEYS = (
    'data_root', 'work_dir', 'load_from', 'ann_file', 'proposal_file', 'checkpoint', 'img', 'seg',
    'outfile_prefix', 'out_file_path', 'out_dir', 'test_out_dir',
)  # fmt: skip
"""Options whose last name is one of these hold a path: it may contain commas, brackets and digits."""

_PAIRS = {'(': ')', '[': ']'}


class SpaceKeepingDictAction(DictAction):
    """Collect ``KEY=VALUE`` arguments in a dict.

    A value in quotes is a string, whatever it holds. So is a path (see ``PATH_KEYS``) and a value whose
    brackets do not match. ``V1,V2``, ``[V1,V2]`` and ``(V1,V2)`` are lists and tuples.
    """

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Sequence[str],
        option_string: Optional[str] = None,
    ) -> None:
        """Add the arguments to the namespace; one that is not ``KEY=VALUE`` is an error of the parser."""
        options = dict(getattr(namespace, self.dest, None) or {})
        for argument in values:
            key, equals, value = argument.partition('=')
            if not equals or not all(key.split('.')):
                raise argparse.ArgumentError(
                    self,
                    f'expected KEY=VALUE, got {argument!r}; quote what has spaces: "KEY=A B"',
                )
            options[key] = parse_path(value) if key.split('.')[-1] in PATH_KEYS else parse_value(value)
        setattr(namespace, self.dest, options)


def parse_path(text: str) -> Optional[str]:
    """The path that an option gives; ``None`` for no path."""
    return None if text == 'None' else _unquoted(text)


def parse_value(text: str) -> Any:
    """The number, truth value, ``None``, list, tuple or string that an option gives."""
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
        items.pop()  # a comma may follow the last element
    parsed = [parse_value(item.strip()) for item in items]
    return tuple(parsed) if is_enclosed and inner[0] == '(' else parsed


def _unquoted(text: str) -> str:
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in '\'"' and text[0] not in text[1:-1]
    return text[1:-1] if is_quoted else text


def _split(text: str) -> Optional[List[str]]:
    """Split at the commas outside quotes and brackets; ``None`` where these do not match."""
    items, closing, quote = [''], [], ''
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
