"""Clocks and meters: interleaved rounds, and the peak memory of one call in a process of its own."""

import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import torch


def interleave(calls: Dict[str, Callable[[], float]], repeats: int, warmup: int) -> Dict[str, List[float]]:
    """Make the calls in turn, round after round, so that a drift of the machine meets all of them.

    The order rotates by one from round to round, so that none always follows the same other.

    Args:
        calls: Each returns the seconds that it took.
        repeats: Rounds that count.
        warmup: Rounds before them.

    Returns:
        Seconds of each round, by name.
    """
    seconds: Dict[str, List[float]] = {name: [] for name in calls}
    names = list(calls)
    for turn in range(warmup + repeats):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            taken = calls[name]()
            if turn >= warmup:
                seconds[name].append(taken)
    return seconds


def seconds_of(call: Callable[[], Any], device: str = 'cpu') -> float:
    """Make a call; return how long it took, with what it left running on the device."""
    _wait(device)
    start = time.perf_counter()
    call()
    _wait(device)
    return time.perf_counter() - start


def _wait(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize(device)


def quartiles(values: List[float]) -> Dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return dict(median=middle, q1=low, q3=high)


def ratios(seconds: List[float], reference: List[float]) -> Dict[str, float]:
    """Median and quartiles of the ratios round by round, which a busy machine disturbs least."""
    return quartiles([ours / theirs for ours, theirs in zip(seconds, reference)])


def to_best_stock(name: str, found: Dict[str, List[float]]) -> Dict[str, Any]:
    """Ratios to the best stock model of the same precision.

    Args:
        name: The model.
        found: What was measured of all models, round by round, by name.

    Returns:
        ``best_stock`` with the ratio's quartiles and the stock model's name; nothing without a stock model.
    """
    is_half = 'amp' in name.split('+')
    stock = [n for n in found if n.split('+')[0] == 'stock' and ('amp' in n.split('+')) == is_half]
    if not stock:
        return {}
    best = min(stock, key=lambda n: statistics.median(found[n]))
    return dict(best_stock=dict(model=best, **ratios(found[name], found[best])))


def resident_bytes(field: str = 'VmRSS') -> int:
    """Resident memory of this process now (``VmRSS``) or at its highest (``VmHWM``)."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) * 1024
    raise ValueError(f'/proc/self/status has no {field}; resident memory can be read on Linux only')


def peak_of(call: Callable[[], None], device: str, before: int = 0) -> int:
    """Highest memory during a call: allocated on CUDA, resident above ``before`` on the CPU."""
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device)
    Path('/proc/self/clear_refs').write_text('5')  # sets VmHWM back to VmRSS
    call()
    return resident_bytes('VmHWM') - before


def in_own_process(module: str, request: dict) -> dict:
    """Run ``python -m module`` on a JSON request; return the JSON of its last line.

    Raises:
        RuntimeError: With the end of what it wrote, if it failed.
    """
    command = [sys.executable, '-m', module, json.dumps(request)]
    tools = str(Path(__file__).parents[1])  # where the package of this module lies
    path = os.pathsep.join(filter(None, [tools, os.environ.get('PYTHONPATH')]))
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': path})
    if result.returncode:
        raise RuntimeError(f'{module} failed: {result.stderr.strip()[-2000:]}')
    return json.loads(result.stdout.strip().splitlines()[-1])


def memory_records(
    module: str, names: Sequence[str], cases: Any, options: Dict[str, Any]
) -> List[Dict[str, Any]]:
    """Measure the memory of each model in processes of its own, by running ``module``.

    Resident memory hangs on what the allocator gives back and differs by a tenth from process to
    process, so there are at most five rounds; allocated memory on CUDA does not.
    """
    records = []
    rounds = min(cases.repeats, 5) if options['device'] == 'cpu' else 1
    for size, batch in itertools.product(cases.sizes, cases.batches):
        case = dict(size=list(size), batch=batch)
        peaks: Dict[str, List[int]] = {name: [] for name in names}
        for _, name in itertools.product(range(rounds), names):
            peaks[name].append(in_own_process(module, dict(name=name, **case, **options))['peak'])
        for name, found in peaks.items():
            ratio = quartiles([peak / statistics.median(peaks[names[0]]) for peak in found])
            record = dict(**case, mode='memory', model=name, n=rounds, bytes=int(statistics.median(found)))
            records.append(dict(record, ratio=ratio, **to_best_stock(name, peaks)))
    return records
