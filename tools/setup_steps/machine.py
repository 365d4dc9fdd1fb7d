"""What the machine offers for building mmcv's operators, and what follows from it."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Optional

from setup_steps import SetupError

OLDEST_PYTHON = (3, 11)  # numpy 2.4.6 and scipy 1.17 refuse older ones
FREE_GB = 6
GB_PER_JOB = 2  # one compiler at work on mmcv's larger sources
WAYS_ON = """\
  to do, one of:
    - install the CUDA toolkit {wanted} and call again (CUDA_HOME=/path/to/it where it is not on PATH)
    - use a prebuilt wheel of the maintained forks (onedl-mmcv): see requirements/onedl.txt
    - take operators that run on the CPU only, on purpose: make setup OPERATORS=cpu"""


def check_python(version=sys.version_info) -> None:
    """Refuse a Python for which the pinned packages do not exist."""
    if tuple(version[:2]) < OLDEST_PYTHON:
        raise SetupError(
            f'found Python {version[0]}.{version[1]} ({sys.executable}), but the pinned packages need '
            f'{OLDEST_PYTHON[0]}.{OLDEST_PYTHON[1]} or later (tested with 3.11)\n'
            '  to do: install it and name it, such as: make setup PYTHON=python3.11'
        )


def check_python_parts(headers: Optional[str] = None) -> None:
    """Refuse a Python without venv or C headers, which some distributions package apart."""
    headers = headers or sysconfig.get_path('include', 'posix_prefix')  # where torch looks, on Debian too
    missing = [] if Path(headers, 'Python.h').is_file() else [f'its C headers ({headers}/Python.h)']
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        missing.append('ensurepip, which venv needs')
    if missing:
        version = f'{sys.version_info[0]}.{sys.version_info[1]}'
        raise SetupError(
            f'{sys.executable} comes without {" and without ".join(missing)}\n'
            f'  to do: install them (on Debian and Ubuntu: python{version}-dev and python{version}-venv)'
        )


def check_disk(venv: Path, free_gb: float = FREE_GB) -> None:
    """Refuse to start where the disk would run full on the way."""
    folder = next(parent for parent in venv.parents if parent.exists())
    found = shutil.disk_usage(folder).free / 1e9
    if found < free_gb:
        raise SetupError(
            f'{folder} has {found:.1f} GB free, but the environment needs {free_gb:g} GB while it is made\n'
            '  to do: free some space, or name a folder on another disk: make setup VENV=/path/to/venv'
        )


def find_compiler() -> str:
    """The C++ compiler that torch's extension builder should call."""
    named = os.environ.get('CXX')
    looked_for = f'CXX={named} is not on PATH' if named else 'c++, g++ or clang++ on PATH'
    for name in [named] if named else ['c++', 'g++', 'clang++']:
        if shutil.which(shlex.split(name)[0]):
            return name
    raise SetupError(
        f"no C++ compiler found ({looked_for}), but mmcv's operators are compiled here\n"
        '  to do: install one (on Debian and Ubuntu: g++), or name it in CXX'
    )


def gpu_listed() -> bool:
    """Whether the driver's own tool lists an NVIDIA GPU.

    The driver's files are no sign: a container on a GPU host sees them without having the GPU.
    """
    return 'GPU 0' in _output(['nvidia-smi', '-L'])


def nvcc_release() -> str:
    """Release of the CUDA compiler, such as '13.0', or ''; looked for where torch looks for it."""
    home = os.environ.get('CUDA_HOME') or os.environ.get('CUDA_PATH')
    nvcc = os.path.join(home, 'bin', 'nvcc') if home else shutil.which('nvcc') or '/usr/local/cuda/bin/nvcc'
    found = re.search(r'release (\d+\.\d+)', _output([nvcc, '--version']))
    return found[1] if found else ''


def operator_kind(asked: str, gpu: bool, torch_cuda: Optional[str], nvcc: str) -> str:
    """Decide between operators for the CPU only and for CUDA as well.

    Args:
        asked: 'cpu' or 'cuda', or '' to go by the machine.
        gpu: Whether an NVIDIA GPU is there.
        torch_cuda: CUDA release of the installed torch, '' for a CPU build of it, None while no
            torch is installed.
        nvcc: Release of the CUDA compiler, '' where there is none.

    Returns:
        'cpu' or 'cuda'.

    Raises:
        SetupError: CUDA operators are wanted but cannot be built here.
    """
    if asked == 'cpu' or not (gpu or asked == 'cuda'):
        return 'cpu'
    if torch_cuda == '':
        if asked == 'cuda':
            raise SetupError(
                'OPERATORS=cuda needs a CUDA build of torch, but pip chose a CPU build on this machine\n'
                '  to do: let pip reach a CUDA build of the torch in requirements/build.txt, or leave '
                'OPERATORS out'
            )
        return 'cpu'
    reason = 'an NVIDIA GPU is here' if gpu else 'OPERATORS=cuda is set'
    wanted = (
        f'{torch_cuda.split(".")[0]}.x' if torch_cuda else 'of the major version that torch was built with'
    )
    if not nvcc:
        raise SetupError(
            f"{reason}, but not the CUDA compiler (nvcc) that builds mmcv's operators for it\n"
            + WAYS_ON.format(wanted=wanted)
        )
    if torch_cuda and nvcc.split('.')[0] != torch_cuda.split('.')[0]:
        raise SetupError(
            f'{reason} and torch was built with CUDA {torch_cuda}, but the CUDA compiler (nvcc) is {nvcc}\n'
            + WAYS_ON.format(wanted=wanted)
        )
    return 'cuda'


def build_jobs(cores: int, memory_gb: float) -> int:
    """Compilers that may run at once without filling the memory."""
    return max(1, min(cores, int(memory_gb / GB_PER_JOB)))


def build_environment(kind: str) -> dict:
    """Variables that make mmcv's setup.py build operators of ``kind`` ('cpu' or 'cuda')."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    memory_gb = os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 1e9
    variables = {
        'MMCV_WITH_OPS': '1',
        'MAX_JOBS': os.environ.get('MAX_JOBS') or str(build_jobs(cores, memory_gb)),
        'CXX': find_compiler(),
        'FORCE_CUDA': '1' if kind == 'cuda' else '0',
        # Given at all, CFLAGS replaces Python's own flags: -O3 must be said again (RoIAlign is 2.5 times
        # slower without), and -g left out, a third of the compilers' time and most of the module's size.
        'CFLAGS': f'-O3 -g0 {os.environ.get("CFLAGS", "")}'.strip(),
    }
    if kind == 'cpu':
        variables['CUDA_VISIBLE_DEVICES'] = ''  # mmcv's setup builds for CUDA wherever torch sees a GPU
    return variables


def _output(command) -> str:
    """What ``command`` prints, or '' where it does not exist or fails."""
    try:
        done = subprocess.run(
            command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return ''
    return done.stdout.decode(errors='replace') if done.returncode == 0 else ''
