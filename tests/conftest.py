"""Fixtures for generated data, configs, logs and real datasets."""

import importlib
import importlib.util
import logging
import os
import shutil
import sys
from copy import deepcopy
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.visualization import Visualizer

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(ROOT / 'tools'))  # for the packages `benchmarks` and `published`

# Hypothesis tests the same examples in every run, so that failures in CI are reproducible.
# Set HYPOTHESIS_PROFILE=search to search for new ones.
settings.register_profile(
    'ci',
    max_examples=100,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile('search', settings.get_profile('ci'), max_examples=1000, derandomize=False)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'ci'))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _scope():
    """Look up types in mmdet, as in a run of its configs, whatever an earlier test has set."""
    init_default_scope('mmdet')


@pytest.fixture(autouse=True)
def _loggers():
    """Drop mmengine's loggers and visualizers after a test, which the next run would use again.

    A logger may have a closed stream, and a visualizer writes into the folder of its first run.
    """
    yield
    for cls in (MMLogger, *Visualizer.__subclasses__()):
        cls._instance_dict.clear()


@pytest.fixture(scope='session', autouse=True)
def _cache_metafiles():
    """Cache mmdet's metafiles: reading them for every ``mmdet::`` base takes 90 % of the loading time."""
    from mmengine.config import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, 'load', lru_cache(utils.load))
        yield


@pytest.fixture(scope='session', autouse=True)
def _cache_configs():
    """Read each config of this repository and of mmdet once; tests get copies. Reading takes 0.2 to 0.5 s."""
    import mmdet

    read = lru_cache(Config.fromfile)
    folders = {ROOT / 'configs', Path(mmdet.__file__).parent / '.mim' / 'configs'}

    def fromfile(filename, *args, **kwargs):
        is_fixed = not folders.isdisjoint(Path(filename).resolve().parents)
        if not is_fixed or args or kwargs:
            return read.__wrapped__(filename, *args, **kwargs)
        return deepcopy(read(str(filename)))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, 'fromfile', staticmethod(fromfile))
        yield


@pytest.fixture(scope='session', autouse=True)
def _cheap_run_logs():
    """Do not format the configs that a run logs and writes: this takes 40 % of the time of a short training.

    The description of the environment in the log is collected once.
    """
    from mmengine.config import config
    from mmengine.runner import runner

    with pytest.MonkeyPatch.context() as patch:
        # raising=False: other versions of mmengine format with another library
        patch.setattr(config, 'FormatCode', lambda text, **options: (text, True), raising=False)
        patch.setattr(runner, 'collect_env', lru_cache(runner.collect_env))
        yield


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """Folder of a tiny generated dataset of shapes in COCO format."""
    from eca_mmdet.datasets import make_shapes

    return make_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=8, val=4, size=64)


@pytest.fixture(scope='session')
def made_folders(tmp_path_factory):
    """Twelve training and six validation images of single shapes, in class folders."""
    from eca_mmdet.datasets import make_single_shapes

    return make_single_shapes(tmp_path_factory.mktemp('folders') / 'shapes', train=12, val=6, size=32)


@pytest.fixture
def folders(made_folders, tmp_path):
    """A copy of the class folders, which a test may modify."""
    return shutil.copytree(made_folders, tmp_path / 'folders')


@pytest.fixture
def data(shapes, tmp_path):
    """Folder of a copy of the shapes dataset, which a test may modify."""
    return shutil.copytree(shapes, tmp_path / 'data')


@pytest.fixture
def cfg(data):
    """Config of the shapes dataset that reads the copy in ``data``."""
    from eca_mmdet.apis import load_config

    return load_config('eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py', dict(data_root=str(data)))


@pytest.fixture
def hotcoco():
    """The module ``hotcoco``. Skips the test where it is not installed."""
    return pytest.importorskip('hotcoco')


@pytest.fixture(scope='session')
def mmpretrain():
    """The module ``mmpretrain``, which make setup installs outside the environment of the tools."""
    from eca_mmdet.environment import is_installed
    from eca_mmdet.torchvision_operators import declare_missing_operators

    site = Path(sys.prefix, 'tests-site')
    if not is_installed('mmpretrain') and not (site / 'mmpretrain').is_dir():
        pytest.skip(f'{site} (mmpretrain and torchvision, made by make setup) is not there')
    with pytest.MonkeyPatch.context() as patch:  # processes that other tests start must not get this path
        patch.setattr(sys, 'path', [*sys.path, str(site)])
        declare_missing_operators()
        for name in ('timm', 'mmpretrain.models', 'mmpretrain.datasets', 'mmpretrain.evaluation'):
            if is_installed(name.split('.')[0]):
                importlib.import_module(name)
    return pytest.importorskip('mmpretrain')


@pytest.fixture
def mmengine_log(monkeypatch, caplog):
    """Capture the messages of mmengine's logger, from level ``INFO``."""
    monkeypatch.setattr(MMLogger, 'get_current_instance', logging.getLogger)
    caplog.set_level('INFO')
    return caplog


@pytest.fixture
def server():
    """Address and state of a local server, see ``file_server``."""
    from file_server import serve_files

    with serve_files() as found:
        yield found


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """Change to an empty working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _real_data(name: str) -> Path:
    folder = Path(os.environ.get('ECA_MMDET_DATA', ROOT / 'data')) / name
    if not folder.is_dir():
        pytest.skip(f'{folder} not found: set ECA_MMDET_DATA to the folder that contains {name}')
    return folder


@pytest.fixture
def coco_mini():
    """Folder with 120 images of COCO 2017 in COCO format."""
    return _real_data('coco_mini')


@pytest.fixture
def nuclei():
    """Folder with 540 microscope images of the Data Science Bowl 2018."""
    return _real_data('nuclei')


@pytest.fixture
def venv(tmp_path):
    """Path of a virtual environment that does not exist yet."""
    return tmp_path / 'venv'


def load_tool(name: str):
    """Import ``tools/NAME.py`` as a module."""
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
