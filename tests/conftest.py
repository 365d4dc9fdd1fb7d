"""Fixtures: data the project draws, a random official checkpoint, folders of real data."""

import importlib.util
import os
import shutil
import sys
from functools import lru_cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))
sys.path.append(str(ROOT / 'tools'))  # for the packages there: benchmarks, published

# The same examples in every run, so that a failure in CI is one that everybody can see again.
# Search for new ones with HYPOTHESIS_PROFILE=search.
settings.register_profile(
    'ci',
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.register_profile('search', settings.get_profile('ci'), max_examples=2000, derandomize=False)
settings.load_profile(os.environ.get('HYPOTHESIS_PROFILE', 'ci'))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(scope='session', autouse=True)
def _metafiles_are_read_once():
    """mmengine reads all of mmdet's for every base named ``mmdet::``, nine tenths of reading a config."""
    from mmengine.config import utils

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(utils, 'load', lru_cache(utils.load))
        yield


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """A tiny data set of drawn shapes in COCO layout."""
    from eca_mmdet.datasets import make_shapes

    return make_shapes(tmp_path_factory.mktemp('data') / 'shapes', train=8, val=4, size=64)


@pytest.fixture
def data(shapes, tmp_path):
    """A copy of the drawn shapes, to break."""
    return shutil.copytree(shapes, tmp_path / 'data')


@pytest.fixture
def cfg(data):
    """The config of the drawn shapes, for that copy."""
    from eca_mmdet.apis import load_config

    return load_config('eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py', dict(data_root=str(data)))


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    """An empty current folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _real_data(name: str) -> Path:
    folder = Path(os.environ.get('ECA_MMDET_DATA', ROOT / 'data')) / name
    if not folder.is_dir():
        pytest.skip(f'{folder} is not there; set ECA_MMDET_DATA to the folder that holds {name}')
    return folder


@pytest.fixture
def coco_mini():
    """120 images of COCO 2017 in COCO's own layout."""
    return _real_data('coco_mini')


@pytest.fixture
def nuclei():
    """540 microscope images of the Data Science Bowl 2018."""
    return _real_data('nuclei')


@pytest.fixture
def venv(tmp_path):
    """Path of an environment that is not there yet."""
    return tmp_path / 'venv'


def load_tool(name: str):
    """Import ``tools/NAME.py`` as a module."""
    spec = importlib.util.spec_from_file_location(f'tools_{name}', ROOT / 'tools' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
