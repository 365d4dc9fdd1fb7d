"""What a benchmark ran on, and its results as text."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence

import torch

from eca_mmdet.environment import DISTRIBUTIONS, installed

from .cases import size_text


def machine(device: str = 'cpu') -> Dict[str, Any]:
    """Processor, cores, threads, load and the versions of the stack."""
    from eca_mmdet import __version__

    facts: Dict[str, Any] = dict(
        processor=_processor(),
        instruction_sets=instruction_sets(),
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


def _cpu_info() -> Dict[str, str]:
    """What Linux says of the first processor; empty elsewhere."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().split('\n\n')[0].splitlines() if info.is_file() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(':') for line in lines)}


def _processor() -> str:
    """Name, family and model: cloud machines of several generations share a name."""
    info = _cpu_info()
    if 'model name' not in info:
        return platform.processor()
    if 'cpu family' not in info:
        return info['model name']
    return f'{info["model name"]} (family {info["cpu family"]}, model {info["model"]})'


def instruction_sets(names: Sequence[str] = ('avx2', 'avx512f', 'avx512_bf16', 'amx')) -> Dict[str, bool]:
    """Which instruction sets the processor has, as Linux lists them; nothing where it lists none."""
    flags = _cpu_info().get('flags', '').split()
    return {name: any(flag.startswith(name) for flag in flags) for name in names} if flags else {}


def check_machine(target: str) -> None:
    """Refuse to replace the results of another machine.

    Raises:
        FileExistsError: If the file holds results of another processor.
    """
    if not Path(target).is_file():
        return
    try:
        processor = json.loads(Path(target).read_text())['machine']['processor']
    except (ValueError, KeyError, TypeError):
        return
    if processor != _processor():
        raise FileExistsError(
            f'{target} was measured on {processor}, and this is {_processor()}; '
            'write to a file of another name'
        )


def command() -> str:
    """The command line of this process, its program by its folder and name."""
    return ' '.join(['python', '/'.join(Path(sys.argv[0]).parts[-2:]), *sys.argv[1:]])


def report_text(results: List[Dict[str, Any]]) -> str:
    """One line a model and case: ratios to stock and to the best stock, quartiles of both, and the figure."""
    head = f'{"mode":7}{"image":>11}{"batch":>6}  {"model":28}{"ratio":>6}{"quartiles":>14}{"median":>12}'
    lines = [f'{head}   to the best stock of this precision']
    for r in results:
        spread = _spread(r['ratio'])
        best = r.get('best_stock')
        best = f'  {best["median"]:.2f} ({_spread(best)}) of {best["model"]}' if best else ''
        figure = figure_text(r)
        figure += f'  {r["graphs"]} graphs compiled' if 'graphs' in r else ''
        lines.append(
            f'{r["mode"]:7}{size_text(r):>11}{r["batch"]:>6}  {r["model"]:28}'
            f'{r["ratio"]["median"]:>6.2f}{spread:>14}{figure:>12}{best}'
        )
    return '\n'.join(lines)


def _spread(ratio: Dict[str, float]) -> str:
    return f'{ratio["q1"]:.2f} to {ratio["q3"]:.2f}' if 'q1' in ratio else ''


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
