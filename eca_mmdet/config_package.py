"""Let configs inherit from ``eca_mmdet::NAME.py``.

mmengine resolves ``package::path`` only for the packages that it knows, and only for paths with a folder. It
also uses the package name as registry scope, but configs of this package use the registries of a host
library. The two functions of mmengine that handle this are extended for ``eca_mmdet``. Other packages are
not affected.
"""

import importlib
from pathlib import Path
from typing import Any, Optional, Tuple

from mmengine.config import Config, utils

from .environment import installed
from .hosts import HOSTS

PACKAGE = 'eca_mmdet'
CONFIGS = Path(__file__).parent / '.mim' / 'configs'
SCOPES = {'segmentation': 'mmseg', 'classification': 'mmpretrain'}
"""Registry scopes of the configs in these folders; that of all others is ``mmdet``."""

_split_package = utils._get_package_and_cfg_path
_get_cfg_path = Config._get_cfg_path


def _split_package_or_own(cfg_path: str) -> Tuple[str, str]:
    package, _, path = cfg_path.partition('::')
    return (PACKAGE, path) if package == PACKAGE else _split_package(cfg_path)


def _get_own_cfg_path(cfg_path: str, filename: str) -> Tuple[str, Optional[str]]:
    package, _, path = cfg_path.partition('::')
    if package != PACKAGE:
        return _get_cfg_path(cfg_path, filename)
    if not (CONFIGS / path).is_file():
        files = [config.relative_to(CONFIGS).as_posix() for config in CONFIGS.rglob('*.py')]
        known = sorted(name for name in files if not name.startswith('_base_'))
        raise FileNotFoundError(f'{cfg_path}: eca_mmdet has no such config. Its configs are {known}')
    return str(CONFIGS / path), SCOPES.get(path.split('/')[0], 'mmdet')


def register_config_package() -> None:
    """Let mmengine find ``eca_mmdet::...`` configs. It is safe to call this several times."""
    utils.MODULE2PACKAGE.setdefault(PACKAGE, PACKAGE)
    for scope in HOSTS:  # mmengine does not know the names of the onedl forks
        if installed(scope).startswith('onedl-'):
            utils.MODULE2PACKAGE[scope] = installed(scope).split()[0]
    Config._get_cfg_path = staticmethod(_get_own_cfg_path)
    for name in ('mmengine.config.utils', 'mmengine.hub.hub'):  # for mmengine.hub.get_config
        module: Any = importlib.import_module(name)
        module._get_package_and_cfg_path = _split_package_or_own
