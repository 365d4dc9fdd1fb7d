"""Describe the machine of a benchmark, and format results as text."""

import json
import os
import platform
import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence

import torch

from eca_mmdet.analysis import table_text
from eca_mmdet.environment import DISTRIBUTIONS, installed

from .cases import size_text


def machine(device: str = 'cpu') -> Dict[str, Any]:
    """Return the processor, cores, threads, load, and versions of the software."""
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
    """Read the entries of the first processor in ``/proc/cpuinfo``; empty on other systems than Linux."""
    info = Path('/proc/cpuinfo')
    lines = info.read_text().split('\n\n')[0].splitlines() if info.is_file() else []
    return {key.strip(): value.strip() for key, _, value in (line.partition(':') for line in lines)}


def _processor() -> str:
    """Return the processor's name, family and model; the name alone does not tell generations apart."""
    info = _cpu_info()
    if 'model name' not in info:
        return platform.processor()
    if 'cpu family' not in info:
        return info['model name']
    return f'{info["model name"]} (family {info["cpu family"]}, model {info["model"]})'


def instruction_sets(names: Sequence[str] = ('avx2', 'avx512f', 'avx512_bf16', 'amx')) -> Dict[str, bool]:
    """Return whether the processor has each instruction set; empty if the system does not list them."""
    flags = _cpu_info().get('flags', '').split()
    return {name: any(flag.startswith(name) for flag in flags) for name in names} if flags else {}


def check_machine(target: str) -> None:
    """Protect results that were measured on another processor from being overwritten.

    Raises:
        FileExistsError: If the target holds such results.
    """
    if not Path(target).is_file():
        return
    try:
        processor = json.loads(Path(target).read_text())['machine']['processor']
    except (ValueError, KeyError, TypeError):
        return
    if processor != _processor():
        raise FileExistsError(
            f'{target} was measured on {processor}, but this machine has {_processor()}; '
            'choose another file name'
        )


def command() -> str:
    """Return the command line of this process, with the folder and name of the script."""
    return ' '.join(['python', '/'.join(Path(sys.argv[0]).parts[-2:]), *sys.argv[1:]])


def report_text(results: List[Dict[str, Any]]) -> str:
    """Format one row per model and case: measurement, ratio to stock, and ratio to the best stock model."""
    header = [
        'model',
        'mode',
        'image',
        'batch',
        'median',
        'graphs compiled',
        'ratio to stock',
        'to best stock',
    ]
    rows = []
    for r in results:
        best = r.get('best_stock')
        best_text = f'{_ratio_text(best)} of {best["model"]}' if best else ''
        graphs = str(r.get('graphs', ''))
        row = [r['model'], r['mode'], size_text(r), str(r['batch']), measurement_text(r), graphs]
        rows.append([*row, _ratio_text(r['ratio']), best_text])
    return table_text(header, rows)


def _ratio_text(ratio: Dict[str, float]) -> str:
    spread = f' ({ratio["q1"]:.2f} to {ratio["q3"]:.2f})' if 'q1' in ratio else ''
    return f'{ratio["median"]:.2f}{spread}'


def measurement_text(record: Dict[str, Any]) -> str:
    """Format the measured median, such as ``601 MiB`` or ``817 ms``."""
    if 'bytes' in record:
        return f'{record["bytes"] / 2**20:.0f} MiB'
    return f'{record["seconds"]["median"] * 1e3:.0f} ms'


def loading_text(record: Dict[str, Any]) -> str:
    """Format the time of an iteration, the wait for data, and its share of the total time."""
    iteration, wait = (record[key]['median'] * 1e3 for key in ('seconds', 'data_seconds'))
    return (
        f'{record["config"]}: batch {record["batch"]}, {record["workers"]} workers, '
        f'{record["n"]} iterations of {iteration:.0f} ms, '
        f'wait for data {wait:.1f} ms, {record["share"]:.1%} of the time'
    )
