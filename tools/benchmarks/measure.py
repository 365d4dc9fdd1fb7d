"""Measure time in interleaved rounds, and peak memory in separate processes."""

import gc
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, Sequence

import torch


def interleave(calls: Dict[str, Callable[[], float]], repeats: int, warmup: int) -> Dict[str, List[float]]:
    """Make the calls one after the other in every round, so that slow drift affects all of them equally.

    The order rotates by one every round, so that no call always follows the same other one.

    Args:
        calls: Functions that return the seconds they took, by name.
        repeats: Measured rounds.
        warmup: Warm-up rounds before them.

    Returns:
        Seconds of each measured round, by name.
    """
    seconds: Dict[str, List[float]] = {name: [] for name in calls}
    names = list(calls)
    for index in range(warmup + repeats):
        first = index % len(names)
        for name in names[first:] + names[:first]:
            elapsed = calls[name]()
            if index >= warmup:
                seconds[name].append(elapsed)
    return seconds


def time_calls(
    calls: Dict[str, Callable[[], Any]], repeats: int, warmup: int, device: str = 'cpu'
) -> Dict[str, List[float]]:
    """Time functions in interleaved rounds; see ``interleave``."""
    timed = {name: partial(time_call, call, device) for name, call in calls.items()}
    return interleave(timed, repeats, warmup)


def time_call(call: Callable[[], Any], device: str = 'cpu') -> float:
    """Return the seconds of a call, including work that it queued on the device."""
    _synchronize(device)
    start = time.perf_counter()
    call()
    _synchronize(device)
    return time.perf_counter() - start


def _synchronize(device: str) -> None:
    if device != 'cpu':
        torch.cuda.synchronize(device)


def quartiles(values: List[float]) -> Dict[str, float]:
    """Return the median and quartiles."""
    low, middle, high = statistics.quantiles(values, n=4) if len(values) > 1 else values * 3
    return dict(median=middle, q1=low, q3=high)


def ratios(values: List[float], reference: List[float]) -> Dict[str, float]:
    """Return the median and quartiles of the ratios of each round, which are robust to changing load."""
    return quartiles([value / other for value, other in zip(values, reference)])


def to_best_stock(name: str, measured: Dict[str, List[float]]) -> Dict[str, Any]:
    """Compare a model with the best stock model of the same precision.

    Args:
        name: Name of the model.
        measured: Measurements of each round, by name, for all models.

    Returns:
        ``best_stock`` with the stock model's name and the ratios to it; empty without a stock model.
    """
    is_half = 'amp' in name.split('+')
    stock = [n for n in measured if n.split('+')[0] == 'stock' and ('amp' in n.split('+')) == is_half]
    if not stock:
        return {}
    best = min(stock, key=lambda n: statistics.median(measured[n]))
    return dict(best_stock=dict(model=best, **ratios(measured[name], measured[best])))


def resident_bytes(field: str = 'VmRSS') -> int:
    """Return the current (``VmRSS``) or peak (``VmHWM``) resident memory of this process.

    Raises:
        ValueError: On other systems than Linux.
    """
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{field}:'):
            return int(line.split()[1]) * 1024
    raise ValueError(f'/proc/self/status has no {field}; resident memory can only be measured on Linux')


def peak_memory(call: Callable[[], Any], device: str, before: int = 0) -> int:
    """Return the peak memory of a call in bytes: allocated on CUDA, resident minus ``before`` on a CPU."""
    if device != 'cpu':
        torch.cuda.reset_peak_memory_stats(device)
        call()
        return torch.cuda.max_memory_allocated(device)
    Path('/proc/self/clear_refs').write_text('5')  # resets VmHWM to VmRSS
    call()
    return resident_bytes('VmHWM') - before


def second_step_peak(build_step: Callable[[], Callable[[], Any]], device: str) -> int:
    """Build a training step and return the peak memory of running it a second time, including the model."""
    before = resident_bytes() if device == 'cpu' else 0
    step = build_step()
    step()
    gc.collect()
    return peak_memory(step, device, before)


def run_in_own_process(module: str, request: dict) -> dict:
    """Run ``python -m module`` with a JSON request, and return the JSON in the last line of its output.

    Raises:
        RuntimeError: If it fails. The message has the end of its error output.
    """
    command = [sys.executable, '-m', module, json.dumps(request)]
    tools = str(Path(__file__).parents[1])  # has to be importable in the new process
    path = os.pathsep.join(filter(None, [tools, os.environ.get('PYTHONPATH')]))
    result = subprocess.run(command, capture_output=True, text=True, env={**os.environ, 'PYTHONPATH': path})
    if result.returncode:
        raise RuntimeError(f'{module} failed: {result.stderr.strip()[-2000:]}')
    return json.loads(result.stdout.strip().splitlines()[-1])


def memory_records(
    module: str, names: Sequence[str], cases: Any, options: Dict[str, Any]
) -> List[Dict[str, Any]]:
    """Measure the peak memory of each model in separate processes that run ``module``.

    Resident memory depends on what the allocator returns to the system. It varies by about 10 % between
    processes, so it is measured up to five times. Allocated memory on CUDA does not vary.
    """
    records = []
    rounds = min(cases.repeats, 5) if options['device'] == 'cpu' else 1
    for size, batch in itertools.product(cases.sizes, cases.batches):
        case = dict(size=list(size), batch=batch)
        peaks: Dict[str, List[int]] = {name: [] for name in names}
        for _, name in itertools.product(range(rounds), names):
            peaks[name].append(run_in_own_process(module, dict(name=name, **case, **options))['peak'])
        for name, values in peaks.items():
            ratio = quartiles([peak / statistics.median(peaks[names[0]]) for peak in values])
            record = dict(**case, mode='memory', model=name, n=rounds, bytes=int(statistics.median(values)))
            records.append(dict(record, ratio=ratio, **to_best_stock(name, peaks)))
    return records
