"""The set-up of the environment, with fakes for the commands that would install something."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import ROOT, load_tool

setup_env = load_tool('setup_env')
SCRIPT = ROOT / 'tools' / 'setup_env.py'
TORCH = '2.13.0+cpu'
check_machine = setup_env.check_machine
set_handler = signal.signal  # the fixture below replaces it


@pytest.fixture(autouse=True)
def _isolated(tmp_path, monkeypatch):
    """Keep the tests off the repository's wheels, the requirements of this machine and its signals."""
    monkeypatch.setattr(setup_env, 'WHEELS', tmp_path / 'wheels')
    monkeypatch.setattr(setup_env, 'check_machine', lambda: None)
    monkeypatch.setattr(setup_env.signal, 'signal', lambda *arguments: None)
    monkeypatch.delenv('OPERATORS', raising=False)


def add_package(venv, name, version):
    """Replace what the environment says about an installed package."""
    site = venv / f'lib/python{setup_env.PYTHON}/site-packages'
    for old in site.glob(f'{name}-*.dist-info/METADATA'):
        old.unlink()
        old.parent.rmdir()
    (site / f'{name}-{version}.dist-info').mkdir(parents=True)
    (site / f'{name}-{version}.dist-info/METADATA').write_text(f'Name: {name}\nVersion: {version}\n')


def complete(venv, **changes):
    """Lay out the files by which an environment is judged, and its stamp with ``changes``."""
    add_package(venv, 'torch', TORCH)
    add_package(venv, 'mmcv', setup_env.MMCV)
    (venv / 'bin').mkdir()
    (venv / 'bin/python').touch()
    stamp = {'python': setup_env.PYTHON, 'requirements': setup_env.requirements_hash()}
    stamp = {**stamp, 'torch': TORCH, 'operators': 'cpu', **changes}
    (venv / setup_env.STAMP).write_text(json.dumps(stamp))
    return venv


@pytest.fixture
def commands(venv, monkeypatch):
    """Replace all commands by fakes with their effects on the environment; return them as they run."""
    ran = []

    def run(command, lock, log=None, **variables):
        command = [str(argument) for argument in command]
        ran.append(' '.join(command))
        if command[1:3] == ['-m', 'venv']:
            (venv / 'bin').mkdir()
            (venv / 'bin/python').touch()
        elif command[-1].endswith('build.txt') and '-c' not in command:
            add_package(venv, 'torch', TORCH)
        elif command[3:4] == ['wheel']:
            folder = setup_env.Path(command[command.index('-w') + 1])
            folder.mkdir(parents=True)
            (folder / f'mmcv-{setup_env.MMCV}-cp311-linux.whl').touch()
        elif command[-1].endswith('.whl'):
            add_package(venv, 'mmcv', setup_env.MMCV)

    monkeypatch.setattr(setup_env, 'run', run)
    monkeypatch.setattr(setup_env, 'choose_operators', lambda python, asked: asked or 'cpu')
    return ran


def has_run(commands, part):
    return any(part in command for command in commands)


def set_up(venv, *arguments):
    return setup_env.main([str(venv), *arguments])


def test_requirements__are_pinned_exactly():
    for name in (*setup_env.INSTALLED, 'docs', 'onedl'):
        lines = (setup_env.REQUIREMENTS / f'{name}.txt').read_text().splitlines()
        pins = [line for line in lines if not line.startswith('#')]
        assert pins, name
        assert all(line.partition(';')[0].count('==') == 1 for line in pins), name


def test_ready_environment__is_left_as_it_is(venv, commands):
    complete(venv)
    stamp = (venv / setup_env.STAMP).read_text()
    assert set_up(venv) == 0
    assert commands == []
    assert (venv / setup_env.STAMP).read_text() == stamp


def test_new_environment__is_complete_after_one_call(venv, commands):
    assert set_up(venv) == 0
    assert has_run(commands, ' pip wheel --no-build-isolation --no-cache-dir --no-binary=mmcv ')
    assert has_run(commands, '.whl')
    commands.clear()
    assert set_up(venv) == 0
    assert commands == []


def test_compiled_operators__serve_the_next_environment_with_the_same_torch(venv, commands):
    set_up(venv)
    (venv / setup_env.STAMP).write_text('')
    commands.clear()
    assert set_up(venv) == 0
    assert has_run(commands, '.whl')
    assert not has_run(commands, ' pip wheel ')


@pytest.mark.parametrize(
    'changes', [{'requirements': 'other'}, {'requirements': None, 'build': '1', 'packages': '2', 'asked': ''}]
)
def test_changed_packages__do_not_change_the_operators(venv, commands, changes):
    """The second case is the stamp of earlier versions of the set-up."""
    complete(venv, **changes)
    assert set_up(venv) == 0
    assert commands
    assert not has_run(commands, '.whl')


@pytest.mark.parametrize(
    ('package', 'version'), [('torch', '2.14.0'), ('torch', '2.13.0'), ('mmcv', '2.2.0')]
)
def test_operators__are_replaced_after_another_version_was_installed(venv, commands, package, version):
    add_package(complete(venv), package, version)
    assert set_up(venv) == 0
    assert has_run(commands, ' pip wheel ')
    assert json.loads((venv / setup_env.STAMP).read_text())['torch'] == TORCH


def test_operators__are_compiled_again_when_the_pinned_torch_changes(venv, commands, monkeypatch):
    complete(venv, requirements='other')
    monkeypatch.setattr(sys.modules[__name__], 'TORCH', '2.14.0')
    assert set_up(venv) == 0
    assert has_run(commands, ' pip wheel ')
    assert json.loads((venv / setup_env.STAMP).read_text())['torch'] == '2.14.0'


def test_operators__asked_for_replace_the_others_and_stay(venv, commands):
    complete(venv)
    assert set_up(venv, '--operators', 'cuda') == 0
    assert has_run(commands, ' pip wheel ')
    commands.clear()
    assert set_up(venv) == 0
    assert commands == []


@pytest.mark.parametrize('stamp', ['', '{"torch":', '{"python": "3.8"}'])
def test_incomplete_environment__is_never_used(venv, commands, stamp):
    (complete(venv) / 'half').touch()
    (venv / setup_env.STAMP).write_text(stamp)
    assert set_up(venv) == 0
    assert ' -m venv ' in commands[0]
    assert not (venv / 'half').exists()


def test_environment_without_its_python__is_made_again(venv, commands):
    (complete(venv) / 'bin/python').unlink()
    assert set_up(venv) == 0
    assert ' -m venv ' in commands[0]


def test_failed_update__leaves_an_incomplete_environment(venv, commands, monkeypatch, capsys):
    def fail(*arguments, **options):
        raise setup_env.SetupError('no luck')

    complete(venv, requirements='other')
    monkeypatch.setattr(setup_env, 'run', fail)
    assert set_up(venv) == 1
    assert 'no luck' in capsys.readouterr().err
    assert (venv / setup_env.STAMP).read_text() == ''


def test_folder_of_another_maker__is_refused_unchanged(venv, commands, capsys):
    venv.mkdir()
    (venv / 'pyvenv.cfg').touch()
    assert set_up(venv) == 1
    assert 'VENV=' in capsys.readouterr().err
    assert os.listdir(venv) == ['pyvenv.cfg']


def test_unknown_operators__are_refused(venv, commands, capsys):
    assert set_up(venv, '--operators', 'gpu') == 1
    assert 'Use cpu or cuda' in capsys.readouterr().err
    assert not venv.exists()


def test_missing_compiler__is_reported(monkeypatch):
    monkeypatch.setenv('CXX', 'absent++ -m64')
    with pytest.raises(setup_env.SetupError, match=r'absent\+\+ -m64(?s:.*)apt install'):
        check_machine()


def test_cuda_operators__need_the_cuda_compiler(tmp_path):
    python = tmp_path / 'python'
    python.write_text('#!/bin/sh\necho True None\n')
    python.chmod(0o755)
    with pytest.raises(setup_env.SetupError, match='nvcc(?s:.*)OPERATORS=cpu'):
        setup_env.choose_operators(python, '')
    assert setup_env.choose_operators(python, 'cpu') == 'cpu'


def test_build_variables__hide_the_gpu_and_optimise(monkeypatch):
    monkeypatch.setenv('CFLAGS', '-march=native')
    cpu, cuda = setup_env.build_variables('cpu'), setup_env.build_variables('cuda')
    assert (cpu['FORCE_CUDA'], cpu['CUDA_VISIBLE_DEVICES']) == ('0', '')
    assert cuda['FORCE_CUDA'] == '1'
    assert 'CUDA_VISIBLE_DEVICES' not in cuda
    assert cpu['CFLAGS'] == '-O3 -g0 -march=native'


def test_logged_command__shows_counts_and_the_end_of_a_failure(tmp_path, capsys):
    command = ['sh', '-c', 'seq 40; echo "  [12/98] c++ a.cpp"; exit 3']
    log = tmp_path / 'log'
    with open(tmp_path / 'lock', 'w') as lock, pytest.raises(setup_env.SetupError) as caught:
        setup_env.run(command, lock, log)
    assert capsys.readouterr().out == 'compiling mmcv: 12/98\n'
    assert {'40', '12', str(log), '3'} <= set(str(caught.value).replace('\n', ' ').split())
    assert '\n11\n' not in str(caught.value)


def begin(venv, shell):
    """Start a set-up in another process. Its only step runs ``shell``."""
    code = (
        f'import sys; sys.path.insert(0, {str(SCRIPT.parent)!r}); import setup_env\n'
        'setup_env.check_machine = lambda: None\n'
        f'setup_env.install = lambda *args: setup_env.run(["sh", "-c", {shell!r}], args[-1]) or {{}}\n'
        f'sys.exit(setup_env.main([{str(venv)!r}]))\n'
    )

    def restore_signals():
        """Undo what the process of the tests inherited: nohup and CI may ignore signals."""
        for number in setup_env.SIGNALS:
            set_handler(number, signal.SIG_DFL)

    return subprocess.Popen(
        [sys.executable, '-c', code],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=restore_signals,
    )


def wait_for(path):
    deadline = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < deadline, f'{path} was not created'
        time.sleep(0.02)


@pytest.mark.parametrize(
    ('number', 'code'), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_signal__ends_all_processes(venv, tmp_path, number, code):
    beat = tmp_path / 'beat'
    # The grandchild ignores SIGINT, as a compiler may.
    process = begin(venv, f'(trap "" INT; while :; do touch {beat}; sleep 0.05; done) & wait')
    wait_for(beat)
    process.send_signal(number)
    output = process.communicate(timeout=20)[0].decode()
    assert process.returncode == code, output
    beat.unlink()
    time.sleep(0.3)
    assert not beat.exists()
    assert (venv / setup_env.STAMP).read_text() == ''


def test_killed_set_up__is_repeated_after_its_command_has_ended(venv, tmp_path):
    killed = begin(venv, f'touch {tmp_path}/begun; sleep 2; touch {tmp_path}/ended')
    wait_for(tmp_path / 'begun')
    killed.kill()
    killed.wait()
    killed.stdout.close()
    second = begin(venv, f'test -e {tmp_path}/ended')
    assert 'waiting for another set-up' in second.communicate(timeout=20)[0].decode()
    assert second.returncode == 0
