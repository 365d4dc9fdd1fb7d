"""Create or update the virtual environment of the project: tools/setup_env.py [.venv]

``make setup`` calls this script before anything is installed, so it uses the standard library only.
pip installs the packages pinned in requirements/. This script adds what pip does not do:

- mmcv is compiled against the torch of the environment, and again when torch changes. The wheel stays
  in build/operators, from where later environments with the same torch install it.
- A stamp file records a complete environment. It is empty during the set-up, so the next call starts
  again after an interruption. It also serves as the lock between two set-ups of one environment.
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import IO, Optional

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / 'requirements'
INSTALLED = ('build', 'mmcv', 'runtime', 'tests', 'lint', 'tests-no-deps')
WHEELS = ROOT / 'build' / 'operators'
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STAMP = 'setup-stamp.json'
PYTHON = f'{sys.version_info[0]}.{sys.version_info[1]}'
OLDEST_PYTHON = (3, 11)  # required by the pinned numpy and scipy
MMCV = re.search(r'^mmcv==(.+)$', (REQUIREMENTS / 'mmcv.txt').read_text(), re.MULTILINE)[1]
PROBE_TORCH = 'import torch, torch.utils.cpp_extension as e; print(torch.cuda.is_available(), e.CUDA_HOME)'


class SetupError(Exception):
    """An error that the user can fix: what was found, what is needed, what to do next."""


def run(command: Sequence, lock: IO, log: Optional[Path] = None, **variables: str) -> None:
    """Run a command until it ends, and stop all of its processes if this process is interrupted.

    Args:
        command: Program and arguments.
        lock: The locked stamp file. The command inherits the lock: if this process is killed, the
            next set-up waits for the command to end.
        log: File that receives the output instead of the terminal, which then shows ninja's counts.
        **variables: Additional environment variables.
    """
    command = list(map(str, command))
    # A signal that arrives before the `try` would leave the command running.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    child = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        pass_fds=(lock.fileno(),),
        stdout=subprocess.PIPE if log else None,
        stderr=subprocess.STDOUT if log else None,
        text=True,
        errors='replace',
        start_new_session=True,  # a process group of its own
        preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, mask),
    )
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if log:
            show_counts(child.stdout, log)
        child.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGKILL):  # pip removes its temporary files on SIGINT
            with contextlib.suppress(ProcessLookupError, PermissionError, subprocess.TimeoutExpired):
                os.killpg(child.pid, number)
                child.wait(5)
    if child.returncode:
        tail = '\n'.join([*log.read_text().splitlines()[-30:], f'The whole log: {log}\n']) if log else ''
        raise SetupError(f'{tail}Exit code {child.returncode} from:\n  {shlex.join(command)}')


def show_counts(lines: IO, log: Path) -> None:
    """Write ``lines`` to ``log`` and ninja's counts, such as [12/98], to the terminal."""
    with open(log, 'w') as file:
        for line in lines:
            file.write(line)
            if count := re.match(r'\s*\[(\d+/\d+)\]', line):
                print(f'compiling mmcv: {count[1]}', end='\r' if sys.stdout.isatty() else '\n', flush=True)


def installed(venv: Path, name: str) -> Optional[str]:
    """Return the version of a package in ``venv`` without importing it, None if it is missing."""
    site = str(venv / 'lib' / f'python{PYTHON}' / 'site-packages')
    return next((package.version for package in metadata.distributions(name=name, path=[site])), None)


def requirements_hash() -> str:
    """Hash what the environment is made from: the pinned packages and the place of this checkout."""
    texts = [(REQUIREMENTS / f'{name}.txt').read_text() for name in INSTALLED]
    return hashlib.sha256('\0'.join([*texts, str(ROOT)]).encode()).hexdigest()[:16]


def has_operators(venv: Path, stamp: dict, asked: str) -> bool:
    """Return whether ``venv`` has the operators asked for, compiled against its present torch."""
    versions = (installed(venv, 'mmcv'), installed(venv, 'torch'))
    return versions == (MMCV, stamp.get('torch')) and asked in ('', stamp.get('operators'))


@contextlib.contextmanager
def locked_stamp(venv: Path) -> Iterator[IO]:
    """Open and lock the stamp of ``venv``; create both if needed."""
    venv.mkdir(parents=True, exist_ok=True)
    if any(venv.iterdir()) and not (venv / STAMP).exists():
        raise SetupError(
            f'{venv} was not made by this set-up (it has no {STAMP}), so it was not changed.\n'
            'Remove the folder, or choose another one:\n  make setup VENV=.venv-eca'
        )
    with open(venv / STAMP, 'a+') as stamp:
        try:
            fcntl.flock(stamp, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f'waiting for another set-up of {venv} to end', flush=True)
            fcntl.flock(stamp, fcntl.LOCK_EX)
        yield stamp


def read_stamp(file: IO, venv: Path) -> dict:
    """Return the content of a stamp; empty if ``venv`` was never complete or its Python is gone."""
    file.seek(0)
    with contextlib.suppress(ValueError):
        stamp = json.load(file)
        if stamp.get('python') == PYTHON and (venv / 'bin' / 'python').exists():
            return stamp
    return {}


def write_stamp(file: IO, text: str) -> None:
    """Replace the content of a stamp."""
    file.seek(0)
    file.truncate()
    file.write(text)
    file.flush()


def set_up(venv: Path, asked: str) -> None:
    """Create or complete an environment.

    Args:
        venv: Absolute path of the environment.
        asked: 'cpu' or 'cuda' operators. '' keeps those of an existing environment, and otherwise
            compiles for what torch finds.

    Raises:
        SetupError: A requirement is missing, or a command failed.
    """
    if asked not in ('', 'cpu', 'cuda'):
        raise SetupError(f'OPERATORS={asked} is not supported. Use cpu or cuda, or leave it out.')
    with locked_stamp(venv) as file:
        stamp = read_stamp(file, venv)
        is_current = stamp.get('requirements') == requirements_hash()
        if not is_current or not has_operators(venv, stamp, asked):
            check_machine()
            write_stamp(file, '')
            built = install(venv, stamp, asked, file)
            values = {'python': PYTHON, 'requirements': requirements_hash(), **built}
            write_stamp(file, json.dumps(values, indent=1) + '\n')
    print(f'environment {venv} is ready')


def install(venv: Path, stamp: dict, asked: str, lock: IO) -> dict:
    """Install everything into ``venv``; return the stamp's entries about the operators."""
    environment = {
        'PATH': f'{venv / "bin"}{os.pathsep}{os.environ["PATH"]}',  # ninja is there
        'PYTHONPATH': '',
        'PIP_DISABLE_PIP_VERSION_CHECK': '1',
    }
    python = venv / 'bin' / 'python'

    def pip(*arguments, log: Optional[Path] = None, **variables: str) -> None:
        run([python, '-m', 'pip', *arguments], lock, log, **environment, **variables)

    if not stamp:
        print(f'creating the environment {venv}', flush=True)
        remove_content(venv)
        run([sys.executable, '-m', 'venv', venv], lock)
    fits = has_operators(venv, stamp, asked)  # before pip changes torch
    build, mmcv, runtime, tests, lint, no_deps = (REQUIREMENTS / f'{name}.txt' for name in INSTALLED)
    pip('install', '-r', build)
    torch, operators = installed(venv, 'torch'), stamp.get('operators', '')
    if not fits or torch != stamp['torch']:
        operators = choose_operators(python, asked or operators)
        wheels = WHEELS / f'mmcv-{MMCV}-torch-{torch}-{operators}-python-{PYTHON}'
        if not wheels.exists():
            print(f'compiling mmcv {MMCV} for {operators.upper()} against torch {torch}', flush=True)
            # --no-cache-dir: pip's cache does not know which torch a wheel was compiled against.
            options = ('--no-build-isolation', '--no-cache-dir', '--no-binary=mmcv', '--no-deps', '-v')
            unfinished = wheels.with_name(f'{wheels.name}.unfinished')
            variables = build_variables(operators)
            pip('wheel', *options, '-w', unfinished, '-r', mmcv, log=venv / 'mmcv.log', **variables)
            unfinished.rename(wheels)
        pip('install', '--no-deps', '--force-reinstall', *wheels.glob('*.whl'))
    # build.txt as a constraint: the other packages must not change torch.
    pip('install', '-r', runtime, '-r', tests, '-r', lint, '-c', build)
    # In a folder of their own: mmdet would import mmpretrain, and with it torchvision, whose import
    # fails with a CPU build of torch.
    pip('install', '--no-deps', '--upgrade', '--target', venv / 'tests-site', '-r', no_deps)
    pip('install', '--no-build-isolation', '--no-deps', '-e', ROOT)
    run([python, '-c', 'import eca_mmdet'], lock, **environment)
    return {'torch': torch, 'operators': operators}


def remove_content(venv: Path) -> None:
    """Empty ``venv`` except for its stamp, which marks the folder as made by this script."""
    for entry in venv.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != STAMP:
            entry.unlink()


def check_machine() -> None:
    """Check what pip would miss only after it has downloaded torch."""
    if sys.version_info < OLDEST_PYTHON:
        raise SetupError(
            f'Found Python {PYTHON} ({sys.executable}). The pinned packages need Python 3.11 or later.\n'
            'Install it and choose it, for example:\n  make setup PYTHON=python3.11'
        )
    compiler = os.environ.get('CXX') or 'c++'
    headers = Path(sysconfig.get_path('include', 'posix_prefix'))
    if not shutil.which(shlex.split(compiler)[0]) or not (headers / 'Python.h').is_file():
        raise SetupError(
            f'No C++ compiler ({compiler}) or no C headers of Python ({headers}/Python.h) were found.\n'
            f'Install them, on Debian and Ubuntu:\n  apt install g++ python{PYTHON}-dev python{PYTHON}-venv\n'
            'For another compiler, set CXX.'
        )


def choose_operators(python: Path, asked: str) -> str:
    """Choose 'cpu' or 'cuda' operators; by default what the installed torch can use."""
    probe = subprocess.run([python, '-I', '-c', PROBE_TORCH], check=True, stdout=subprocess.PIPE, text=True)
    is_available, cuda_home = probe.stdout.split(maxsplit=1)
    operators = asked or ('cuda' if is_available == 'True' else 'cpu')
    if operators == 'cuda' and cuda_home.strip() == 'None':
        raise SetupError(
            'Operators for CUDA need the CUDA compiler (nvcc), which was not found. Either\n'
            '- install the CUDA toolkit that torch was built with, and set CUDA_HOME;\n'
            '- use prebuilt wheels of the maintained forks: see requirements/onedl.txt;\n'
            '- or compile for the CPU only:\n  make setup OPERATORS=cpu'
        )
    return operators


def build_variables(operators: str) -> dict:
    """Return the environment variables for compiling 'cpu' or 'cuda' operators."""
    memory_gb = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9
    jobs = max(1, min(os.cpu_count() or 1, int(memory_gb / 2)))  # one compiler needs up to 2 GB
    variables = {
        'MMCV_WITH_OPS': '1',
        'MAX_JOBS': os.environ.get('MAX_JOBS') or str(jobs),
        'FORCE_CUDA': '1' if operators == 'cuda' else '0',
        # CFLAGS replaces Python's flags. Without -O3 RoIAlign is 2.5 times slower; debugging symbols (-g)
        # take a third of the compilation time.
        'CFLAGS': f'-O3 -g0 {os.environ.get("CFLAGS", "")}'.strip(),
    }
    if operators == 'cpu':
        variables['CUDA_VISIBLE_DEVICES'] = ''  # mmcv compiles for CUDA if torch finds a GPU
    return variables


def main(argv: Optional[Sequence[str]] = None) -> int:
    """Run the set-up; return the exit code."""
    parser = argparse.ArgumentParser(description='Create or update the virtual environment of the project.')
    parser.add_argument('venv', nargs='?', default='.venv', help='folder of the environment (default: .venv)')
    parser.add_argument(
        '--operators',
        default=os.environ.get('OPERATORS', ''),
        help="compile mmcv's operators for cpu or cuda (default: $OPERATORS, else what torch finds)",
    )
    args = parser.parse_args(argv)
    for number in SIGNALS[1:]:
        if signal.getsignal(number) != signal.SIG_IGN:  # nohup
            signal.signal(number, lambda received, frame: sys.exit(128 + received))
    try:
        set_up(Path(args.venv).resolve(), args.operators)
    except (SetupError, OSError, subprocess.CalledProcessError) as error:
        print(f'set-up failed: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('set-up interrupted; the next call completes it', file=sys.stderr)
        return 130
    return 0


if __name__ == '__main__':
    sys.exit(main())
