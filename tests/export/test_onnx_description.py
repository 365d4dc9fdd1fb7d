"""The description of a file is read back as written, and nothing else is accepted."""

import json
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eca_mmdet.export.image_preparation import Preparation
from eca_mmdet.export.onnx_description import KEY, Description, read_description

GOOD = Description(
    'detection', ('dog', 'cat'), Preparation(size=(1333, 800), keep_ratio=True, pad_divisor=32)
)


def changed(name, value):
    """Return the description with another value of an entry such as ``'preparation.mean'``."""
    content = json.loads(GOOD.to_json())
    *parents, last = name.split('.')
    node = content
    for parent in parents:
        node = node[parent]
    node[last] = value
    return {KEY: json.dumps(content)}


def test_description__is_read_as_written():
    other = replace(GOOD, preparation=Preparation(short_edge=256, crop=(224, 224), resizer='pillow'))
    for description in (GOOD, other):
        assert read_description({KEY: description.to_json()}) == description


@pytest.mark.parametrize(
    ('name', 'value', 'message'),
    [
        ('version', 2, 'not of version 1'),
        ('task', 'tracking', "its task is 'tracking'"),
        ('task', ['detection'], 'its task is'),
        ('classes', [], 'its classes are not a list of names'),
        ('classes', ['dog', 3], 'its classes are not a list of names'),
        ('classes', 'dog', 'its classes are not a list of names'),
        ('mask_threshold', 'high', 'its mask_threshold is'),
        ('preparation', None, 'does not say how images are prepared'),
        ('preparation.more', 1, 'its preparation has the entries'),
        ('preparation.size', [10**9, 800], 'Allowed are 1 to 16384 pixels'),
        ('preparation.size', [800], 'not two sides'),
        ('preparation.size', [True, 800], 'Allowed are 1 to 16384 pixels'),
        ('preparation.pad_divisor', 0, 'Allowed are 1 to 16384 pixels'),
        ('preparation.short_edge', 2.5, 'its short_edge is 2.5'),
        ('preparation.mean', [0, 0], 'its mean is'),
        ('preparation.mean', [0, 0, float('nan')], 'its mean is nan'),
        ('preparation.std', [1, 1, 0], 'its std is 0'),
        ('preparation.keep_ratio', 'yes', 'its keep_ratio is'),
        ('preparation.interpolation', '__import__', 'its interpolation is'),
        ('preparation.resizer', None, 'its resizer is None'),
        ('preparation.pad_value', float('inf'), 'its pad_value is inf'),
    ],
)
def test_wrong_entry__is_refused(name, value, message):
    with pytest.raises(ValueError, match=message):
        read_description(changed(name, value))


def test_other_metadata__is_refused():
    with pytest.raises(ValueError, match=r'not written by tools/export\.py'):
        read_description({'author': 'somebody'})
    with pytest.raises(ValueError, match='not JSON'):
        read_description({KEY: '[' * 100_000})


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
_NAMES = [*json.loads(GOOD.to_json()), *(f'preparation.{name}' for name in vars(GOOD.preparation))]


@settings(max_examples=100)
@given(name=st.sampled_from(_NAMES), value=_JSON)
def test_any_value__is_read_or_refused_with_a_message(name, value):
    try:
        message = ''
        read_description(changed(name, value))
    except ValueError as error:
        message = str(error)
    assert len(message) < 1000
