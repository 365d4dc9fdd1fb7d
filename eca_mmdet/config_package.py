"""``eca_mmdet::name.py`` in a config's ``_base_``, from any folder.

mmengine resolves ``package::path`` for the packages in its own table, and only
for paths with a folder in them; our configs lie flat. It also marks what such a
config builds with the package's name as registry scope, and we have no registry of
our own. So the two functions that decide this are extended for our name; all
else is mmengine's.
"""

import importlib
from pathlib import Path
from typing import Optional, Tuple

from mmengine.config import Config, utils

PACKAGE = 'eca_mmdet'
CONFIGS = Path(__file__).parent / '.mim' / 'configs'
SCOPE = 'mmdet'  # whose registries find mmdet's modules and, through their parent, ours

_split_package = utils._get_package_and_cfg_path
_get_cfg_path = Config._get_cfg_path


def _split_package_or_ours(cfg_path: str) -> Tuple[str, str]:
    package, _, path = cfg_path.partition('::')
    return (PACKAGE, path) if package == PACKAGE else _split_package(cfg_path)


def _get_cfg_path_or_ours(cfg_path: str, filename: str) -> Tuple[str, Optional[str]]:
    package, _, path = cfg_path.partition('::')
    if package != PACKAGE:
        return _get_cfg_path(cfg_path, filename)
    if not (CONFIGS / path).is_file():
        files = [config.relative_to(CONFIGS).as_posix() for config in CONFIGS.rglob('*.py')]
        known = sorted(name for name in files if not name.startswith('_base_'))
        raise FileNotFoundError(f'{cfg_path}: eca_mmdet has no such config; it has {known}')
    return str(CONFIGS / path), SCOPE


def register_config_package() -> None:
    """Teach mmengine to find ``eca_mmdet::...`` configs. Calling it again changes nothing."""
    utils.MODULE2PACKAGE.setdefault(PACKAGE, PACKAGE)
    Config._get_cfg_path = staticmethod(_get_cfg_path_or_ours)
    for name in ('mmengine.config.utils', 'mmengine.hub.hub'):  # for mmengine.hub.get_config
        importlib.import_module(name)._get_package_and_cfg_path = _split_package_or_ours
