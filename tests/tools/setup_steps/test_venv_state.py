"""What an environment lacks, and who may work on it."""

import threading

import pytest
from setup_cases import Todo, complete, setup_env, state_of, venv_state


def test_complete_environment_needs_nothing(venv):
    assert state_of(complete(venv)) is Todo.NOTHING


@pytest.mark.parametrize(
    ('changes', 'asked', 'needs'),
    [
        ({'packages': 'other'}, '', Todo.PACKAGES),
        ({'build': 'other'}, '', Todo.OPERATORS),
        ({'torch': '2.12.0'}, '', Todo.OPERATORS),
        ({'python': '3.8'}, '', Todo.ANEW),
        ({'operators': 'cuda'}, '', Todo.NOTHING),  # what is there will do where nothing is asked for
        ({'operators': 'cuda'}, 'cpu', Todo.OPERATORS),
        ({'operators': 'cpu'}, 'cpu', Todo.NOTHING),
    ],
)
def test_stamp_tells_what_an_environment_lacks(venv, changes, asked, needs):
    assert state_of(complete(venv, **changes), asked) is needs


def test_operators_are_rebuilt_when_the_installed_torch_is_another(venv):
    assert state_of(complete(venv, torch='2.13.0')) is Todo.OPERATORS


def test_operators_are_rebuilt_when_they_are_gone(venv):
    next(complete(venv).glob('lib/*/site-packages/mmcv/_ext.*')).unlink()
    assert state_of(venv) is Todo.OPERATORS


def test_environment_whose_python_is_gone_is_made_anew(venv):
    (complete(venv) / 'bin/python').unlink()
    assert state_of(venv) is Todo.ANEW


def test_damaged_stamp_means_anew(venv):
    (complete(venv) / venv_state.STAMP).write_text('{"torch":')
    assert state_of(venv) is Todo.ANEW


@pytest.mark.parametrize(('name', 'part'), [('build', 'build'), ('tests', 'packages')])
def test_stamp_follows_the_requirement_files(tmp_path, name, part):
    for file in ('build', 'runtime', 'tests', 'tests-no-deps'):
        (tmp_path / f'{file}.txt').write_text('six==1.0\n')
    before = setup_env.wanted_stamp(tmp_path)
    (tmp_path / f'{name}.txt').write_text('six==2.0\n')
    after = setup_env.wanted_stamp(tmp_path)
    assert [key for key in before if before[key] != after[key]] == [part]


def test_stamp_follows_the_place_of_the_checkout(tmp_path):
    """Two checkouts that share an environment: the editable install belongs to one of them."""
    assert setup_env.wanted_stamp()['packages'] != setup_env.wanted_stamp(root=tmp_path)['packages']


def test_removal_cut_short_leaves_the_marker(venv, monkeypatch):
    complete(venv)

    def cut(path):
        raise OSError('cut short')

    monkeypatch.setattr(venv_state.shutil, 'rmtree', cut)
    with pytest.raises(OSError, match='cut short'):
        venv_state.remove(venv)
    assert state_of(venv) is Todo.ANEW


def test_second_set_up_waits_for_the_first(venv, capsys):
    entered = threading.Event()

    def second():
        with venv_state.locked(venv):
            entered.set()

    thread = threading.Thread(target=second)
    with venv_state.locked(venv):
        thread.start()
        assert not entered.wait(0.2)
    thread.join(5)
    assert entered.is_set()
    assert 'another set-up is at work' in capsys.readouterr().err
    assert not list(venv.parent.iterdir())  # no lock file stays
