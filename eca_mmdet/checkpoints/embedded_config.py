"""Read the config that a checkpoint contains, without executing anything in it.

mmengine saves the config of a training as Python text. Files from elsewhere are not trusted: only literals
are read, parts are built by registered names only, and no part may read other files.
"""

import ast
import re
from typing import Any, Iterator, List, Tuple

from mmengine.config import Config, ConfigDict

from ..hosts import HOSTS

_MAX_LENGTH = 2_000_000  # characters; the longest config of mmdet has 60,000
_TYPE = re.compile(rf'(({"|".join((*HOSTS, "mmcv", "mmengine"))})\.)?[A-Za-z_]\w*')
_NUMBERS = {'inf': float('inf'), 'nan': float('nan')}
_REMOVED = ('init_cfg', 'pretrained', 'backend_args', 'custom_imports', 'file_client_args')


def read_config_text(text: Any) -> Config:
    """Read a config that mmengine wrote into a checkpoint.

    Args:
        text: Assignments of literals and calls of ``dict``.

    Returns:
        The config, without settings that name files or modules (``init_cfg``, ``custom_imports``, ...).

    Raises:
        ValueError: If there is anything else in it, or if a ``type`` is not the plain name of a class.
    """
    if not isinstance(text, str) or len(text) > _MAX_LENGTH:
        raise ValueError('its config is not a text of at most 2 million characters')
    try:
        statements = ast.parse(text).body
        values = {}
        for statement in statements:
            target = statement.targets[0] if isinstance(statement, ast.Assign) else None
            if not isinstance(statement, ast.Assign) or not isinstance(target, ast.Name):
                raise ValueError(f'line {statement.lineno} of its config is not an assignment')
            if len(statement.targets) > 1:
                raise ValueError(f'line {statement.lineno} of its config has several targets')
            values[target.id] = _literal(statement.value)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f'its config cannot be read: {type(error).__name__}') from None
    cfg = Config(_without_files(values))
    for path, name in _types(cfg._cfg_dict):
        if not isinstance(name, str) or not _TYPE.fullmatch(name):
            raise ValueError(f'{path}.type of its config is {name!r}, not the name of a registered class')
    return cfg


def _literal(node: ast.AST) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, (ast.List, ast.Tuple, ast.Set)):
        values = [_literal(item) for item in node.elts]
        return {ast.List: list, ast.Tuple: tuple, ast.Set: set}[type(node)](values)
    if isinstance(node, ast.Dict) and all(node.keys):
        return {_literal(key): _literal(value) for key, value in zip(node.keys, node.values) if key}
    if isinstance(node, ast.Call) and not node.args and ast.unparse(node.func) == 'dict':
        values_by_name = {keyword.arg: _literal(keyword.value) for keyword in node.keywords}
        if None not in values_by_name:  # dict(**other)
            return values_by_name
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.UAdd)):
        value = _literal(node.operand)
        if isinstance(value, (int, float)):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Name) and node.id in _NUMBERS:
        return _NUMBERS[node.id]
    line = getattr(node, 'lineno', '?')
    raise ValueError(f'line {line} of its config is not a literal: {ast.unparse(node)[:80]}')


def _without_files(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _without_files(value) for key, value in node.items() if key not in _REMOVED}
    return type(node)(map(_without_files, node)) if isinstance(node, (list, tuple)) else node


def _types(node: Any, path: str = 'config') -> Iterator[Tuple[str, Any]]:
    items: List[Tuple[Any, Any]] = []
    if isinstance(node, (dict, ConfigDict)):
        items = list(node.items())
        if 'type' in node:
            yield path, node['type']
    elif isinstance(node, (list, tuple)):
        items = list(enumerate(node))
    for key, value in items:
        yield from _types(value, f'{path}.{key}')
