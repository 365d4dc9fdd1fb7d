"""File names of visualizations."""

import os
from pathlib import PurePath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eca_mmdet.visualization import unique_names

PARTS = st.sampled_from(['a', 'b', 'c.d', '..', '.'])
FILES = st.sampled_from(['1.jpg', '1.png', '2.jpg'])
PATHS = st.tuples(st.sampled_from(['', '/', 's3://bucket/']), st.lists(PARTS, max_size=3), FILES)


def test_different_names__are_kept():
    paths = ['data/a/1.jpg', 'data/a/1.png', 'data/b/2.jpg', '/elsewhere/3.jpg']
    assert list(unique_names(paths).values()) == ['1.jpg', '1.png', '2.jpg', '3.jpg']


@pytest.mark.parametrize(
    ('paths', 'names'),
    [
        (['d/a/1.jpg', 'd/b/1.jpg', 'd/b/2.jpg'], ['a/1.jpg', 'b/1.jpg', '2.jpg']),
        (['d/1.jpg', 'd/b/1.jpg'], ['1.jpg', 'b/1.jpg']),
        (['d/a/x/1.jpg', 'd/b/x/1.jpg'], ['a/x/1.jpg', 'b/x/1.jpg']),
        (['s3://bucket/a/1.jpg', 's3://bucket/b/1.jpg'], ['a/1.jpg', 'b/1.jpg']),
        (['d/a/../../x/1.jpg', 'd/b/1.jpg'], ['x/1.jpg', 'd/b/1.jpg']),
    ],
)
def test_equal_names__keep_their_differing_folders(paths, names):
    assert list(unique_names(paths).values()) == names


@given(parts=st.lists(PATHS, max_size=6))
def test_names__are_unique_and_stay_inside_the_output_folder(parts):
    paths = ['/'.join([root.rstrip('/') or '.', *folders, file]) for root, folders, file in parts]
    names = unique_names(paths)
    assert set(names) == set(paths)
    assert len(set(names.values())) == len({os.path.abspath(path) for path in paths})
    for path, name in names.items():
        assert PurePath(name).name == PurePath(path).name
        assert '..' not in PurePath(name).parts
        assert not PurePath(name).is_absolute()
