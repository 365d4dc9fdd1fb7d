"""Where the time of a detector's training step or prediction goes, by kind of operation."""

import re
import time
from functools import partial
from itertools import product
from operator import itemgetter
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from matplotlib.figure import Figure
from torch.profiler import ProfilerActivity, profile

from .cases import Cases, size_text
from .whole_detectors import build_detector, synthetic_data

WHOLE = (
    ('convolutions', re.compile(r'^_(Conv2d|ConvNorm)')),
    ('RoIAlign', re.compile(r'RoIAlign')),
    ('NMS', re.compile(r'NMSop|nms')),
    ('mask pasting', re.compile(r'grid_sampler')),
    ('optimizer', re.compile(r'Optimizer\.')),
)
"""Groups that include everything that their operations call."""

SINGLE = (
    ('convolutions', re.compile(r'conv')),
    ('matrix products', re.compile(r'aten::(add)?(mm|bmm|mv)|linear')),
    ('copies', re.compile(r'aten::(copy_|clone|contiguous|_to_copy|cat|index)')),
    ('other operations', re.compile(r'')),
)
"""Groups of operations by their own time, in order: the first pattern that matches decides."""

GROUPS = (
    'convolutions',
    'matrix products',
    'RoIAlign',
    'NMS',
    'mask pasting',
    'optimizer',
    'copies',
    'other operations',
    'Python',
)


def profile_detectors(
    config: str,
    names: Sequence[str],
    cases: Cases,
    options: Optional[dict] = None,
    log: Callable[[str], None] = lambda line: None,
) -> List[Dict[str, Any]]:
    """Profile detectors on the CPU, one after the other.

    Args:
        config: Of a detector with an ``ECAResNet``; see ``benchmark_detectors``.
        names: Backbones, as in ``models.py``.
        cases: Modes, sizes, batches and rounds of warm-up; the median round by time is reported.
        options: Dotted names and values that override the config.
        log: Takes a line of progress.

    Returns:
        A record for each case and model: ``seconds`` of the step and ``groups``, the seconds of each group.
    """
    records = []
    for name in names:
        detector = build_detector(config, name, options, 'cpu')
        modes = [mode for mode in cases.modes if mode != 'memory']
        for mode, size, batch in product(modes, cases.sizes, cases.batches):
            data = synthetic_data(detector.module, size, batch, 'cpu')
            call = partial(detector.run, mode, data)
            for _ in range(cases.warmup):
                call()
            rounds = sorted((_profile(call) for _ in range(cases.repeats)), key=itemgetter(0))
            seconds, groups = rounds[len(rounds) // 2]
            case = dict(mode=mode, size=list(size), batch=batch, model=name)
            records.append(dict(case, seconds=seconds, groups=groups))
            log(f'{name} {mode} {size_text(case)} batch {batch}: done')
    return records


def _profile(call: Callable[[], Any]) -> Tuple[float, Dict[str, float]]:
    """Return the seconds of a call, and of each group of operations in it."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
    groups = dict.fromkeys(GROUPS, 0.0)
    for event in profiler.events():
        groups[_group_of(event)] += event.self_cpu_time_total / 1e6
    groups['Python'] = max(0.0, seconds - sum(groups.values()))
    return seconds, groups


def _group_of(event: Any) -> str:
    ancestor, whole = event, None
    while ancestor is not None:
        whole = next((name for name, pattern in WHOLE if pattern.search(ancestor.name)), whole)
        ancestor = ancestor.cpu_parent
    return whole or next(name for name, pattern in SINGLE if pattern.search(event.name))


def profile_text(records: List[Dict[str, Any]]) -> str:
    """A line for each case, model and group: milliseconds, and the share of the step."""
    lines = []
    for r in records:
        total = r['seconds'] * 1e3
        lines.append(f'{r["model"]}, {r["mode"]}, {size_text(r)}, batch {r["batch"]}: {total:.0f} ms')
        for group, seconds in r['groups'].items():
            lines.append(f'  {group:18}{seconds * 1e3:8.0f} ms {seconds / r["seconds"]:6.1%}')
    return '\n'.join(lines)


def plot_profile(records: List[Dict[str, Any]], path: str, title: str = '') -> None:
    """Draw a bar for each case and model, divided into the groups.

    Args:
        records: What ``profile_detectors`` returns.
        path: File to write; its suffix is the format.
        title: Above the figure.
    """
    modes = list(dict.fromkeys(r['mode'] for r in records))
    figure = Figure(figsize=(9, 1.2 + 0.5 * len(records)), layout='constrained')
    figure.suptitle(title, fontsize='small')
    axes = figure.subplots(len(modes), 1, squeeze=False)[:, 0]
    for axis, mode in zip(axes, modes):
        rows = [r for r in records if r['mode'] == mode]
        labels = [f'{r["model"]}\n{size_text(r)}, batch {r["batch"]}' for r in rows]
        left = [0.0] * len(rows)
        for i, group in enumerate(GROUPS):
            widths = [r['groups'][group] for r in rows]
            axis.barh(labels, widths, left=left, color=f'C{i}', label=group)
            left = [a + b for a, b in zip(left, widths)]
        axis.invert_yaxis()
        axis.set_title(mode, fontsize='small')
        axis.set_xlabel('seconds of a step')
    axes[0].legend(fontsize='x-small', loc='center left', bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)
