"""What a benchmark ran on, and its results as text."""

import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict, List

import torch

from ..environment import DISTRIBUTIONS, installed
from .cases import size_text


def machine(device: str = 'cpu') -> Dict[str, Any]:
    """Processor, cores, threads, load and the versions of the stack."""
    from .. import __version__

    facts: Dict[str, Any] = dict(
        processor=_processor(),
        cores=os.cpu_count(),
        threads=torch.get_num_threads(),
        load=list(os.getloadavg()) if hasattr(os, 'getloadavg') else None,
        system=platform.platform(),
        python=platform.python_version(),
        eca_mmdet=__version__,
        packages=[found for found in map(installed, DISTRIBUTIONS) if found],
    )
    if device != 'cpu':
        facts['accelerator'] = torch.cuda.get_device_name(device)
    return facts


def _processor() -> str:
    info = Path('/proc/cpuinfo')
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.split(':', 1)[1].strip() for line in lines if line.startswith('model name')]
    return names[0] if names else platform.processor()


def command() -> str:
    """The command line of this process, its program by its folder and name."""
    return ' '.join(['python', '/'.join(Path(sys.argv[0]).parts[-2:]), *sys.argv[1:]])


def report_text(results: List[Dict[str, Any]]) -> str:
    """One line a model and case: the ratio to stock ResNet, its quartiles, and the figure itself."""
    lines = [f'{"mode":7}{"image":>11}{"batch":>6}  {"model":28}{"ratio":>6}{"quartiles":>14}{"median":>12}']
    for r in results:
        spread = f'{r["ratio"]["q1"]:.2f} to {r["ratio"]["q3"]:.2f}' if 'q1' in r['ratio'] else ''
        figure = figure_text(r)
        figure += f'  {r["graphs"]} graphs compiled' if 'graphs' in r else ''
        lines.append(
            f'{r["mode"]:7}{size_text(r):>11}{r["batch"]:>6}  {r["model"]:28}'
            f'{r["ratio"]["median"]:>6.2f}{spread:>14}{figure:>12}'
        )
    return '\n'.join(lines)


def figure_text(record: Dict[str, Any]) -> str:
    """What was measured itself: ``601 MiB`` or ``817 ms``."""
    if 'bytes' in record:
        return f'{record["bytes"] / 2**20:.0f} MiB'
    return f'{record["seconds"]["median"] * 1e3:.0f} ms'


def loading_text(found: Dict[str, Any]) -> str:
    """One line: an iteration, the wait for its data and the share of the waits."""
    return (
        f'{found["config"]}: batch {found["batch"]}, {found["workers"]} workers, {found["n"]} iterations of '
        f'{found["seconds"]["median"] * 1e3:.0f} ms, wait for data '
        f'{found["data_seconds"]["median"] * 1e3:.1f} ms, {found["share"]:.1%} of the time'
    )
