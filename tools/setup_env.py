"""Make or update the project's virtual environment: tools/setup_env.py [.venv]

Runs before anything is installed, so it uses the standard library only. ``make setup`` calls it.
The pinned packages stand in requirements/; mmcv exists on the registry as a source archive only and
is compiled here, against the torch of this very environment.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from setup_steps import SetupError, machine, running, venv_state
from setup_steps.venv_state import Todo

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements'
MMCV = 'mmcv==2.1.0'
# --no-cache-dir: pip's cache knows a wheel's version, not the torch it was built against.
# --no-deps: its needs come with runtime.txt, pinned.
MMCV_FLAGS = (
    '--no-build-isolation',
    '--no-cache-dir',
    '--no-binary=mmcv',
    '--no-deps',
    '--force-reinstall',
    '-v',
)
PROBE_TORCH = (
    'import json, torch; print(json.dumps([torch.__version__, torch.version.cuda or "", '
    'torch.cuda.is_available()]))'
)
VERIFY = (
    'import sys, eca_mmdet, mmcv.ops as ops; '
    'cuda = ops.get_compiling_cuda_version(); '
    'sys.exit("mmcv was built without CUDA" if sys.argv[1] == "cuda" and cuda == "not available" else 0)'
)


def wanted_stamp(requirements: Path = REQUIREMENTS, root: Path = ROOT) -> dict:
    """What a complete environment's stamp says today, but for the torch and operators found there."""

    def texts(*names):
        return [(requirements / f'{name}.txt').read_text() for name in names]

    return {
        'python': f'{sys.version_info[0]}.{sys.version_info[1]}',
        'build': venv_state.fingerprint([*texts('build'), MMCV, *MMCV_FLAGS]),
        'packages': venv_state.fingerprint([*texts('runtime', 'tests', 'tests-no-deps'), str(root)]),
    }


class Installer:
    """Runs the steps that fill one environment.

    Args:
        venv: Folder of the environment, absolute.
        lock: Descriptor that the commands keep open.
    """

    def __init__(self, venv: Path, lock: int) -> None:
        self.venv, self.lock = venv, lock
        self.python = venv / 'bin' / 'python'
        self.log = Path(f'{venv}.log')  # outside, to outlast an environment that is removed
        # Inside the environment, so that a build that is cut short goes with it.
        self.temporary = venv / '.tmp'

    def environ(self, **variables: str) -> dict:
        """Environment variables for this environment's commands, with ``variables`` added."""
        env = {k: v for k, v in os.environ.items() if k not in ('PYTHONPATH', 'PYTHONHOME')}
        env['PATH'] = f'{self.venv / "bin"}{os.pathsep}{env.get("PATH", "")}'  # ninja lies there
        env.update(TMPDIR=str(self.temporary), PYTHONUNBUFFERED='1', PIP_DISABLE_PIP_VERSION_CHECK='1')
        return {**env, **variables}

    def run(self, title: str, command, **variables: str) -> None:
        """Run one command of this environment."""
        self.temporary.mkdir(exist_ok=True)
        running.run_logged(title, command, self.log, self.environ(**variables), pass_fds=(self.lock,))

    def pip(self, title: str, *arguments, **variables: str) -> None:
        """Install with the environment's pip."""
        self.run(title, [self.python, '-m', 'pip', 'install', '--no-input', *arguments], **variables)

    def fill(self, todo: Todo, asked: str) -> dict:
        """Do what ``todo`` says; return the stamp's values for torch and the operators."""
        built = venv_state.read_stamp(self.venv)
        if todo is Todo.ANEW:
            self.run('virtual environment', [sys.executable, '-m', 'venv', self.venv])
        if todo is not Todo.PACKAGES:
            built = self.build_operators(asked)
        build, runtime, tests, alone = (
            REQUIREMENTS / f'{name}.txt' for name in ('build', 'runtime', 'tests', 'tests-no-deps')
        )
        # build.txt as a constraint: nothing may move the torch that the operators were built against.
        self.pip("MMDetection and the tests' needs", '-r', runtime, '-r', tests, '-c', build)
        # Out of the tools' sight: mmdet imports mmpretrain wherever it finds it, and with it torchvision,
        # whose import fails beside a CPU build of torch.
        site = self.venv / 'tests-site'
        self.pip("the tests' own packages", '--no-deps', '--upgrade', '--target', site, '-r', alone)
        self.pip('eca_mmdet', '--no-build-isolation', '--no-deps', '-e', ROOT)
        self.run('check', [self.python, '-c', VERIFY, built['operators']])
        shutil.rmtree(self.temporary)
        return {name: built[name] for name in ('torch', 'operators', 'asked')}

    def build_operators(self, asked: str) -> dict:
        """Install torch and compile mmcv's operators against it."""
        self.pip('torch and build tools', '-r', REQUIREMENTS / 'build.txt')
        version, cuda, usable = self.probe_torch()
        listed = machine.gpu_listed()
        kind = machine.operator_kind(asked, usable or (listed and not cuda), cuda, machine.nvcc_release())
        if kind == 'cpu' and listed and not asked:
            reason = f'was built with CUDA {cuda}, which its driver refuses' if cuda else 'is a CPU build'
            say(
                f'an NVIDIA GPU is here, but torch {version} {reason}: the operators will be for the CPU only'
            )
        variables = machine.build_environment(kind)
        jobs = variables['MAX_JOBS']
        say(f'compiling {MMCV} for {kind.upper()} against torch {version}, {jobs} at once')
        self.pip('mmcv operators', *MMCV_FLAGS, MMCV, **variables)
        return {'torch': version, 'operators': kind, 'asked': asked}

    def probe_torch(self) -> tuple:
        """Version of the installed torch, its CUDA release ('' without) and whether it sees a GPU."""
        command = [self.python, '-c', PROBE_TORCH]
        done = subprocess.run(command, check=False, env=self.environ(), capture_output=True, text=True)
        running.check_signals()  # Ctrl-C ends the probe as well
        if done.returncode:
            raise running.StepFailed(f'torch was installed, but cannot be imported:\n{done.stderr}')
        return tuple(json.loads(done.stdout))


def set_up(venv: Path, asked: str = '') -> None:
    """Bring ``venv`` up to date, from whatever state it is in.

    Args:
        venv: Folder of the environment, absolute.
        asked: 'cpu' or 'cuda' operators, or '' for what the machine allows (and, in an environment
            that is there already, for what it has).

    Raises:
        SetupError: The caller can mend it; nothing was changed, or what was begun has been removed.
        running.StepFailed: A command failed; what was begun has been removed.
        running.Interrupted: A signal came; what was begun has been removed.
    """
    if asked not in ('', 'cpu', 'cuda'):
        raise SetupError(f'found OPERATORS={asked}, but it can only be cpu or cuda, or be left out')
    wanted = wanted_stamp()
    if venv_state.todo(venv, wanted, asked) is not Todo.NOTHING:
        with venv_state.locked(venv) as lock:
            # Looked at again: whoever held the lock before may have done it all.
            todo = venv_state.todo(venv, wanted, asked)
            if todo is not Todo.NOTHING:
                if todo is not Todo.ANEW:
                    asked = asked or venv_state.read_stamp(venv).get('asked', '')
                check_machine(venv, todo, asked)
                make(venv, todo, asked, wanted, lock)
    say(f'environment {shown(venv)} is ready')


def check_machine(venv: Path, todo: Todo, asked: str) -> None:
    """Find out what is missing before anything is begun or a gigabyte is fetched."""
    machine.check_python()
    if todo is not Todo.PACKAGES:
        machine.check_python_parts()
        machine.find_compiler()
        machine.operator_kind(asked, machine.gpu_listed(), None, machine.nvcc_release())
    if todo is Todo.ANEW:
        machine.check_disk(venv)


def make(venv: Path, todo: Todo, asked: str, wanted: dict, lock: int) -> None:
    """Fill or update ``venv`` and stamp it; see ``venv_state.under_construction`` for failures."""
    say(f'{"making" if todo is Todo.ANEW else "updating"} the environment {shown(venv)}')
    installer = Installer(venv, lock)
    installer.log.write_bytes(b'')
    try:
        with venv_state.under_construction(venv, anew=todo is Todo.ANEW):
            stamp = {**wanted, **installer.fill(todo, asked)}
            installer.log.replace(venv / 'setup.log')
            (venv / venv_state.STAMP).write_text(json.dumps(stamp, indent=1) + '\n')
    except BaseException as error:
        if not isinstance(error, running.StepFailed):  # whose message names the log
            installer.log.unlink()
        if todo is not Todo.ANEW:
            say(f'{shown(venv)} is incomplete: the next call makes it anew')
        raise


def shown(venv: Path) -> str:
    """``venv`` as a person would name it from here."""
    return str(venv.relative_to(Path.cwd()) if Path.cwd() in venv.parents else venv)


def say(text: str) -> None:
    """Print at once, also into a pipe."""
    print(text, flush=True)


def main(argv=None) -> int:
    """Run; returns the exit code: 2 where the caller can mend it, 128 + the signal's number."""
    parser = argparse.ArgumentParser(description="Make or update the project's virtual environment.")
    parser.add_argument('venv', nargs='?', default='.venv', help='folder of the environment (default: .venv)')
    parser.add_argument(
        '--operators',
        default=os.environ.get('OPERATORS', ''),
        help="compile mmcv's operators for cpu or cuda (default: $OPERATORS, else what the machine has)",
    )
    args = parser.parse_args(argv)
    running.note_signals()
    try:
        set_up(Path(args.venv).resolve(), args.operators)
    except SetupError as error:
        print(f'set-up: {error}', file=sys.stderr)
        return 2
    except OSError as error:  # a folder that cannot be written, a full disk
        print(
            f'set-up: {error}\n  to do: mend that, or name another folder: make setup VENV=/path/to/venv',
            file=sys.stderr,
        )
        return 2
    except running.StepFailed as error:
        print(f'set-up failed: {error}', file=sys.stderr)
        return 1
    except running.Interrupted as signal:
        print(f'set-up interrupted ({signal})', file=sys.stderr)
        return 128 + signal.number
    return 0


if __name__ == '__main__':
    sys.exit(main())
