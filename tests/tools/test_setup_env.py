"""The set-up of the environment, with the steps that would install something replaced."""

import contextlib
import os
import signal
import subprocess
import sys
import time

import pytest
from setup_cases import TOOLS, Todo, complete, running, setup_env, state_of, venv_state


@pytest.fixture(autouse=True)
def _nothing_received(monkeypatch):
    """No test sees another's signals, and no test finds this machine wanting."""
    monkeypatch.setattr(running, '_received', [])
    monkeypatch.setattr(setup_env, 'check_machine', lambda *arguments: None)
    monkeypatch.setattr(running, 'note_signals', lambda: None)
    monkeypatch.delenv('OPERATORS', raising=False)


def fill_with(monkeypatch, action):
    """Replace all installing by ``action(installer, todo)``."""

    def fill(self, todo, asked):
        action(self, todo)
        return {'torch': '2.13.0+cpu', 'operators': asked or 'cpu', 'asked': asked}

    monkeypatch.setattr(setup_env.Installer, 'fill', fill)


def fail(installer, todo):
    """A step that fails half-way."""
    (installer.venv / 'half').touch()
    raise running.StepFailed('no luck')


def test_requirements_are_pinned_exactly():
    for name in ('build', 'runtime', 'tests', 'tests-no-deps'):
        lines = (setup_env.REQUIREMENTS / f'{name}.txt').read_text().splitlines()
        pins = [line for line in lines if not line.startswith('#')]
        assert pins, name
        assert all(line.partition(';')[0].count('==') == 1 for line in pins), name


def test_ready_environment_is_left_as_it_is(venv, monkeypatch, capsys):
    fill_with(monkeypatch, fail)
    complete(venv)
    before = sorted(path.stat().st_mtime_ns for path in venv.rglob('*'))
    assert setup_env.main([str(venv)]) == 0
    assert capsys.readouterr().out == f'environment {venv} is ready\n'
    assert sorted(path.stat().st_mtime_ns for path in venv.rglob('*')) == before


def test_new_environment_is_stamped_without_its_marker(venv, monkeypatch):
    fill_with(monkeypatch, lambda installer, todo: None)
    assert setup_env.main([str(venv)]) == 0
    assert sorted(path.name for path in venv.iterdir()) == ['setup-stamp.json', 'setup.log']
    assert list(venv.parent.iterdir()) == [venv]


def test_folder_of_another_maker_is_refused_unchanged(venv):
    (venv / 'lib').mkdir(parents=True)
    (venv / 'pyvenv.cfg').write_text('home = /usr/bin\n')
    script = [sys.executable, str(TOOLS / 'setup_env.py'), str(venv)]
    env = {**os.environ, 'CXX': 'no-compiler'}  # were it not refused, it would go no further
    done = subprocess.run(script, check=False, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert 'was not made by this set-up' in done.stderr
    assert 'VENV=' in done.stderr
    assert sorted(path.name for path in venv.parent.rglob('*')) == ['lib', 'pyvenv.cfg', 'venv']


def test_unknown_operators_are_refused(venv, capsys):
    assert setup_env.main([str(venv), '--operators', 'gpu']) == 2
    assert 'cpu or cuda' in capsys.readouterr().err


def test_failed_first_set_up_leaves_only_its_log(venv, monkeypatch, capsys):
    fill_with(monkeypatch, fail)
    assert setup_env.main([str(venv)]) == 1
    assert 'no luck' in capsys.readouterr().err
    assert [path.name for path in venv.parent.iterdir()] == ['venv.log']


def test_failed_update_is_made_anew_by_the_next_call(venv, monkeypatch):
    complete(venv, packages='other')
    fill_with(monkeypatch, fail)
    assert setup_env.main([str(venv)]) == 1
    assert (venv / 'half').exists()
    assert state_of(venv) is Todo.ANEW
    fill_with(monkeypatch, lambda installer, todo: None)
    assert setup_env.main([str(venv)]) == 0
    assert not (venv / 'half').exists()
    assert not (venv / venv_state.MARKER).exists()


def test_environment_that_another_run_has_just_made_is_not_made_again(venv, monkeypatch):
    @contextlib.contextmanager
    def waited(path):
        complete(path)
        yield 0

    monkeypatch.setattr(venv_state, 'locked', waited)
    fill_with(monkeypatch, fail)
    assert setup_env.main([str(venv)]) == 0


def test_operators_are_built_against_the_installed_torch_never_from_a_cache(venv, monkeypatch):
    commands = []
    monkeypatch.setattr(running, 'run_logged', lambda title, command, *_, **__: commands.append(command))
    monkeypatch.setattr(setup_env.Installer, 'probe_torch', lambda self: ('2.14.0', '', False))
    complete(venv, torch='2.14.0')
    assert setup_env.main([str(venv)]) == 0
    torch, mmcv = commands[0], commands[1]
    assert str(torch[-1]).endswith('build.txt')
    assert mmcv[-1] == setup_env.MMCV
    assert {'--no-build-isolation', '--no-cache-dir', '--no-binary=mmcv', '--force-reinstall'} <= set(mmcv)
    assert venv_state.read_stamp(venv)['torch'] == '2.14.0'


def test_changed_packages_do_not_rebuild_the_operators(venv, monkeypatch):
    commands = []
    monkeypatch.setattr(running, 'run_logged', lambda title, command, *_, **__: commands.append(command))
    complete(venv, packages='other', asked='cpu')
    assert setup_env.main([str(venv)]) == 0
    assert commands
    assert not any(setup_env.MMCV in command for command in commands)
    assert venv_state.read_stamp(venv)['asked'] == 'cpu'


def begin(venv, shell):
    """Start a set-up in a process of its own whose only step runs ``shell`` in ``venv``."""
    driver = (
        f'import sys; sys.path.insert(0, {str(TOOLS)!r}); import setup_env\n'
        f'def fill(self, todo, asked): self.run("step", ["sh", "-c", {shell!r}])\n'
        'setup_env.Installer.fill = fill\n'
        'setup_env.check_machine = lambda *arguments: None\n'
        'setup_env.running.PATIENCE_SECONDS = 0.5\n'
        f'sys.exit(setup_env.main([{str(venv)!r}]))\n'
    )
    return subprocess.Popen([sys.executable, '-c', driver], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def wait_for(path):
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline, f'{path} did not come'
        time.sleep(0.02)


@pytest.mark.parametrize(
    ('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal_ends_all_processes_and_leaves_nothing(venv, tmp_path, number, code):
    beat = tmp_path / 'beat'
    # The grandchild ignores what a compiler may ignore too.
    run = begin(venv, f'(trap "" TERM; while :; do touch {beat}; sleep 0.05; done) & wait')
    wait_for(beat)
    run.send_signal(number)
    output = run.communicate(timeout=20)[0].decode()
    assert run.returncode == code, output
    beat.unlink()
    time.sleep(0.3)
    assert list(tmp_path.iterdir()) == []


def test_run_that_was_killed_is_begun_anew_once_its_command_has_ended(venv, tmp_path, monkeypatch):
    run = begin(venv, f'touch {venv}/begun; sleep 1; touch {tmp_path}/ended')
    wait_for(venv / 'begun')
    run.kill()
    run.wait()
    run.stdout.close()
    assert state_of(venv) is Todo.ANEW
    fill_with(monkeypatch, lambda installer, todo: None)
    assert setup_env.main([str(venv)]) == 0
    assert (tmp_path / 'ended').exists()  # the command held the lock
    assert sorted(os.listdir(venv)) == ['setup-stamp.json', 'setup.log']
