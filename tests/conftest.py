"""Fixtures: data the project draws, a random official checkpoint, folders of real data."""

import importlib.util
import os
import sys
from functools import lru_cache
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _small_images_take_the_fused_pass(monkeypatch):
    """Otherwise no training step on a CPU would, small as the tests' images are."""
    from eca_mmdet.backbones.fused import FusedForward

    monkeypatch.setattr(FusedForward, 'fewest_positions', 0)


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
