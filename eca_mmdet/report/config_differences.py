"""Compare the configs of runs."""

from typing import Any, Dict, Iterator, List, Mapping, Sequence, Tuple

ABSENT = '-'
_IGNORED = {'work_dir', 'results_file'}  # differ in any two runs


def flatten(node: Any, name: str = '') -> Iterator[Tuple[str, str]]:
    """Yield the dotted name and the text of every value of a config."""
    items = node.items() if isinstance(node, Mapping) else enumerate(node) if _is_nested(node) else None
    if items is None or not node:
        yield name, repr(node)
        return
    for key, value in items:
        yield from flatten(value, f'{name}.{key}' if name else str(key))


def _is_nested(node: Any) -> bool:
    """Whether a value is a list that holds dicts. Lists of numbers are compared as a whole."""
    return isinstance(node, (list, tuple)) and any(isinstance(item, (Mapping, list, tuple)) for item in node)


def config_differences(configs: Sequence[Mapping[str, Any]]) -> List[Tuple[str, List[str]]]:
    """List the values that differ between configs.

    Returns:
        The dotted name of each value and its text in each config, ``ABSENT`` where a config lacks it.
    """
    flat: List[Dict[str, str]] = [dict(flatten(config)) for config in configs]
    names = dict.fromkeys(name for values in flat for name in values)
    rows = [(name, [values.get(name, ABSENT) for values in flat]) for name in names]
    return [(name, row) for name, row in rows if len(set(row)) > 1 and name.split('.')[0] not in _IGNORED]
