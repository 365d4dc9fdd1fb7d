"""What state an environment is in, kept in two files inside it.

``.incomplete`` is there while the environment is being made or changed, ``setup-stamp.json`` once it
is complete. A folder with neither is somebody else's and is left alone.
"""

import contextlib
import enum
import fcntl
import glob
import hashlib
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from setup_steps import SetupError
from setup_steps.running import check_signals

MARKER = '.incomplete'
STAMP = 'setup-stamp.json'


class Todo(enum.Enum):
    """What brings an environment up to date."""

    NOTHING = 'nothing'
    PACKAGES = 'packages'  # the packages that are not compiled here
    OPERATORS = 'operators'  # torch, mmcv's operators, then all packages
    ANEW = 'anew'  # the environment from its start


def fingerprint(parts: Iterable[str]) -> str:
    """Hash of ``parts``, in their order."""
    return hashlib.sha256('\0'.join(parts).encode()).hexdigest()[:16]


def torch_version(venv: Path) -> str:
    """Version of the torch in ``venv`` without importing it, or ''."""
    found = []
    for path in glob.glob(f'{glob.escape(str(venv))}/lib/python3*/site-packages/torch-*.dist-info/METADATA'):
        found += re.findall(r'^Version: (\S+)', Path(path).read_text(errors='replace'), re.MULTILINE)
    return found[0] if len(found) == 1 else ''


def has_operators(venv: Path) -> bool:
    """Whether mmcv's compiled module lies in ``venv``."""
    return bool(glob.glob(f'{glob.escape(str(venv))}/lib/python3*/site-packages/mmcv/_ext.*'))


def todo(venv: Path, wanted: Mapping[str, str], asked: str) -> Todo:
    """Decide what ``venv`` lacks.

    Args:
        venv: Folder of the environment; need not exist.
        wanted: The stamp's values ``python``, ``build`` and ``packages`` as they should be.
        asked: Kind of operators asked for, '' if any will do.

    Raises:
        SetupError: The folder was not made by this script.
    """
    if not venv.exists() or (venv / MARKER).exists():
        return Todo.ANEW
    if not (venv / STAMP).exists():
        raise SetupError(
            f'{venv} exists, but was not made by this set-up (it has no {STAMP}): it was left as it is\n'
            '  to do: name another folder, such as: make setup VENV=.venv-eca, or remove this one yourself'
        )
    stamp = read_stamp(venv)
    if stamp.get('python') != wanted['python'] or not (venv / 'bin' / 'python').exists():
        return Todo.ANEW
    built_against = stamp.get('torch')
    if not built_against or torch_version(venv) != built_against or not has_operators(venv):
        return Todo.OPERATORS
    if stamp.get('build') != wanted['build'] or asked not in ('', stamp.get('operators')):
        return Todo.OPERATORS
    return Todo.NOTHING if stamp.get('packages') == wanted['packages'] else Todo.PACKAGES


def read_stamp(venv: Path) -> dict[str, str]:
    """The stamp of ``venv``; empty where it is damaged."""
    try:
        stamp = json.loads((venv / STAMP).read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


@contextlib.contextmanager
def under_construction(venv: Path, anew: bool) -> Iterator[None]:
    """Mark ``venv`` as incomplete until the block has ended well.

    What the block began anew is removed when it fails. What it was to update stays, marked, so that
    the next run begins it anew.
    """
    if anew:
        if venv.exists():
            remove(venv)
        venv.mkdir(parents=True)
    (venv / MARKER).touch()
    try:
        yield
    except BaseException:
        if anew:
            print(f'removing the half-made {venv}', flush=True)  # thousands of files: it takes a while
            remove(venv)
        raise
    (venv / MARKER).unlink()


def remove(venv: Path) -> None:
    """Remove ``venv``, its marker last: a removal that is cut short must not pass for a stranger's."""
    (venv / MARKER).touch()
    for entry in venv.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        elif entry.name != MARKER:
            entry.unlink()
    (venv / MARKER).unlink()
    venv.rmdir()


@contextlib.contextmanager
def locked(venv: Path) -> Iterator[int]:
    """Keep other set-ups off ``venv``; yields the lock's descriptor.

    Commands that inherit the descriptor hold the lock as well: if this process is killed, the next
    set-up waits until the command it left behind has ended.
    """
    path = Path(f'{venv}.lock')
    path.parent.mkdir(parents=True, exist_ok=True)
    told = False
    while True:
        check_signals()
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before us removed the file at its end: a lock on that one keeps nobody off.
            if path.exists() and os.path.samestat(os.fstat(descriptor), path.stat()):
                break
        except BlockingIOError:
            if not told:
                print(
                    f'another set-up is at work on {venv}: waiting for it to end', file=sys.stderr, flush=True
                )
            told = True
            time.sleep(0.5)
        os.close(descriptor)
    try:
        yield descriptor
    finally:
        path.unlink()
        os.close(descriptor)
