"""``eca_mmdet::name.py`` in a config's ``_base_``, from any folder.

mmengine resolves ``package::path`` for the packages in its own table, and only
for paths with a folder in them. Our configs lie flat, so the one function that
splits such a name is extended for ours; all else is mmengine's.
"""

import importlib
from typing import Tuple

from mmengine.config import utils

PACKAGE = 'eca_mmdet'
# `from .utils import _get_package_and_cfg_path` gave each of these a name of its own.
_USERS = ('mmengine.config.utils', 'mmengine.config.config', 'mmengine.hub.hub')
_split_package = utils._get_package_and_cfg_path


def _split_package_or_ours(cfg_path: str) -> Tuple[str, str]:
    package, _, path = cfg_path.partition('::')
    return (PACKAGE, path) if package == PACKAGE else _split_package(cfg_path)


def register_config_package() -> None:
    """Teach mmengine to find ``eca_mmdet::...`` configs. Calling it again changes nothing."""
    utils.MODULE2PACKAGE.setdefault(PACKAGE, PACKAGE)
    for name in _USERS:
        importlib.import_module(name)._get_package_and_cfg_path = _split_package_or_ours
