"""Datasets of this project that are folders of images per class."""

import cv2
import numpy as np
import pytest
from conftest import load_tool

from eca_mmdet.datasets import make_digits, make_single_shapes


def files(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob('*.png')}


def test_single_shapes__have_the_requested_numbers_of_images(tmp_path):
    names = files(make_single_shapes(tmp_path, train=7, val=3, size=32))
    counts = {folder: sum(name.startswith(f'{folder}/') for name in names)
              for folder in ('train', 'val', 'train/circle', 'train/square', 'val/triangle')}  # fmt: skip
    assert counts == {'train': 7, 'val': 3, 'train/circle': 3, 'train/square': 2, 'val/triangle': 1}
    assert cv2.imread(str(tmp_path / 'val/circle/00000.png')).shape == (32, 32, 3)


def test_single_shapes__depend_on_the_seed_only(tmp_path):
    options = dict(train=3, val=3, size=32)
    first, second, third = (
        files(make_single_shapes(tmp_path / str(index), seed=seed, **options))
        for index, seed in enumerate((0, 0, 1))
    )
    assert first == second
    assert first.keys() == third.keys()
    assert all(first[name] != third[name] for name in first)


def test_single_shapes__differ_between_the_splits(tmp_path):
    images = files(make_single_shapes(tmp_path, train=3, val=3, size=32))
    assert images['train/circle/00000.png'] != images['val/circle/00000.png']


@pytest.mark.parametrize('options', [dict(train=2), dict(val=0), dict(size=16)])
def test_single_shapes__rejects_unusable_numbers(tmp_path, options):
    with pytest.raises(ValueError, match='must be at least 3, size at least 32'):
        make_single_shapes(tmp_path, **options)


def test_digits__are_those_of_scikit_learn(tmp_path):
    datasets = pytest.importorskip('sklearn.datasets')
    images, labels = datasets.load_digits(return_X_y=True)
    names = files(make_digits(tmp_path, val=10))
    assert len(names) == len(images) == 1797
    assert sum(name.startswith('val/') for name in names) == 10
    for number, folder in ((0, 'train'), (1796, 'val')):
        image = cv2.imread(str(tmp_path / folder / str(labels[number]) / f'{number:04d}.png'))[..., 0]
        np.testing.assert_allclose(image / 255 * 16, images[number].reshape(8, 8), atol=0.05)


def test_digits__rejects_a_validation_set_without_training_images(tmp_path):
    pytest.importorskip('sklearn')
    with pytest.raises(ValueError, match='val=1797: allowed are 1 to 1796'):
        make_digits(tmp_path, val=1797)


def test_tool__says_what_is_missing_without_scikit_learn(tmp_path, monkeypatch, capsys):
    import sys

    monkeypatch.setitem(sys.modules, 'sklearn.datasets', None)
    with pytest.raises(SystemExit):
        load_tool('make_class_folders').main(['digits', str(tmp_path)])
    assert 'pip install scikit-learn' in capsys.readouterr().err
