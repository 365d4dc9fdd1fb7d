"""Parsing of ``--cfg-options``."""

import argparse
import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from mmengine.config import DictAction

from eca_mmdet.apis.dict_action import PATH_KEYS, SpaceKeepingDictAction, parse_value


def parse(*arguments, action=SpaceKeepingDictAction):
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=action, default={})
    return parser.parse_args(['--cfg-options', *arguments]).cfg_options


@pytest.mark.parametrize(
    ('text', 'value'),
    [
        ('/with space/and  two ', '/with space/and  two '),
        ('', ''),
        ('a=b', 'a=b'),
        ('"a, b"', 'a, b'),
        ("'[1,2]'", '[1,2]'),
        ('"5"', '5'),
        (' 5 ', 5),
        ('1e-3', 1e-3),
        ('True', True),
        ('None', None),
        ('1,2', [1, 2]),
        ('a b, c', ['a b', 'c']),
        ('[(1, 2), [x], "y,z"]', [(1, 2), ['x'], 'y,z']),
        ('(1,2),(3,4)', [(1, 2), (3, 4)]),
        ('[]', []),
        ('()', ()),
        ('(a', '(a'),
        ('(a,b', '(a,b'),
        ('[a]/[b]', '[a]/[b]'),
        ('\u00fc \u6587', '\u00fc \u6587'),
        ("it's", "it's"),
        ('(1,)', (1,)),
    ],
)
def test_value__is_parsed(text, value):
    parsed = parse(f'key={text}')['key']
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize('key', ['data_root', 'load_from', 'work_dir', 'val_evaluator.ann_file'])
@pytest.mark.parametrize('path', ['/a b/c d', '/a,b', '[2017]', '007', '1e5', '(x'])
def test_path__is_always_a_string(key, path):
    assert parse(f'{key}={path}', f'x={path}')[key] == path


@pytest.mark.parametrize('arguments', [['a=/with', 'space'], ['=5'], ['a..b=5'], ['.a=5']])
def test_argument_without_key_or_value__is_reported(arguments, capsys):
    with pytest.raises(SystemExit) as exit_:
        parse(*arguments)
    assert exit_.value.code == 2
    assert 'expected KEY=VALUE, got ' in capsys.readouterr().err


def test_options__given_twice_are_merged():
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=SpaceKeepingDictAction, default={})
    given_twice = ['--cfg-options', 'a=1', 'b=2', '--cfg-options', 'b=3']
    assert parser.parse_args(given_twice).cfg_options == dict(a=1, b=3)
    assert parser.get_default('cfg_options') == {}


def is_literal(text):
    """Whether a text is anything other than a plain string in mmengine's syntax."""
    inner = text.strip()
    is_quoted = len(text) > 1 and text[0] == text[-1] and text[0] in '\'"'
    is_list = ',' in inner or (inner[:1] in ('[', '(') and inner[-1:] in (']', ')'))
    return is_quoted or is_list or DictAction._parse_int_float_bool(inner) != inner


line = st.text(st.characters(exclude_characters='\n\r', exclude_categories=['Cs']))
special = st.text(' ,()[]\'"=./ab01', max_size=12)


@given(text=line | special, key=st.sampled_from(['key', 'a.b.c', 'model.backbone.init_cfg.prefix']))
@example(text='/with space', key='key')
def test_plain_string__is_not_changed(text, key):
    assume(not is_literal(text))
    assert parse(f'{key}={text}') == {key: text}


@given(text=line | special, key=st.sampled_from(PATH_KEYS))
def test_every_path__is_not_changed(text, key):
    assume(text != 'None' and text[:1] not in ('"', "'"))
    assert parse(f'{key}={text}') == {key: text}


values = st.recursive(
    st.integers()
    | st.booleans()
    | st.none()
    | st.text(string.ascii_letters + ' /.', min_size=1).map(str.strip),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple),
    max_leaves=8,
)


def write(value):
    if isinstance(value, (list, tuple)):
        inside = ', '.join(map(write, value)) + (',' if value else '')
        return f'[{inside}]' if isinstance(value, list) else f'({inside})'
    return f'"{value}"' if isinstance(value, str) else str(value)


@given(value=values)
def test_written_value__is_parsed_to_the_same_value(value):
    assert parse_value(write(value)) == value


@given(text=special)
def test_literals__are_parsed_as_by_mmengine(text):
    """Without quotes and spaces and with matching brackets, the result equals that of mmengine."""
    assume(not set(text) & set('\'" ()'))
    depth = [text[: i + 1].count('[') - text[: i + 1].count(']') for i in range(len(text))]
    assume(min(depth, default=0) >= 0 and text.count('[') == text.count(']'))
    assume('[' not in text or (text.startswith('[') and text.endswith(']') and 0 not in depth[:-1]))
    assert parse_value(text) == DictAction._parse_iterable(text)
