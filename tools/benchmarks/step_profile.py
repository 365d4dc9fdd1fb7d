"""Profile the training step and prediction of detectors by groups of operations."""

import re
import time
from functools import partial
from itertools import product
from operator import itemgetter
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

from matplotlib.figure import Figure
from torch.profiler import ProfilerActivity, profile

from eca_mmdet.analysis import table_text

from .cases import Cases, size_text
from .whole_detectors import build_detector, make_data

INCLUSIVE_GROUPS = (
    ('convolutions', re.compile(r'^_(Conv2d|ConvNorm)')),
    ('RoIAlign', re.compile(r'RoIAlign')),
    ('NMS', re.compile(r'NMSop|nms')),
    ('mask pasting', re.compile(r'grid_sampler')),
    ('optimizer', re.compile(r'Optimizer\.')),
)
"""Groups that include all operations called by the matching ones."""

EXCLUSIVE_GROUPS = (
    ('convolutions', re.compile(r'conv')),
    ('matrix products', re.compile(r'aten::(add)?(mm|bmm|mv)|linear')),
    ('copies', re.compile(r'aten::(copy_|clone|contiguous|_to_copy|cat|index)')),
    ('other operations', re.compile(r'')),
)
"""Groups of the remaining operations by their own time. The first matching pattern decides."""

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
        config: Config of a detector with an ``ECAResNet``; see ``benchmark_detectors``.
        names: Backbones, as in ``models.py``.
        cases: What to profile; ``changing`` is not used. The round with the median time is reported.
        options: Dotted names and values that override the config.
        log: Receives progress messages.

    Returns:
        One record per case and model with the ``seconds`` of the step and of each of its ``groups``.
    """
    records = []
    for name in names:
        detector = build_detector(config, name, options, 'cpu')
        modes = [mode for mode in cases.modes if mode != 'memory']
        for mode, size, batch in product(modes, cases.sizes, cases.batches):
            data = make_data(detector.module, size, batch, 'cpu')
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
    """Return the seconds of a call and of each group of operations in it."""
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        start = time.perf_counter()
        call()
        seconds = time.perf_counter() - start
    groups = dict.fromkeys(GROUPS, 0.0)
    for event in profiler.events():
        groups[_find_group(event)] += event.self_cpu_time_total / 1e6
    groups['Python'] = max(0.0, seconds - sum(groups.values()))
    return seconds, groups


def _find_group(event: Any) -> str:
    """Return the inclusive group of the outermost matching ancestor, otherwise an exclusive group."""
    ancestor, group = event, None
    while ancestor is not None:
        group = next((name for name, pattern in INCLUSIVE_GROUPS if pattern.search(ancestor.name)), group)
        ancestor = ancestor.cpu_parent
    return group or next(name for name, pattern in EXCLUSIVE_GROUPS if pattern.search(event.name))


def profile_text(records: List[Dict[str, Any]]) -> str:
    """Format one table per case and model with the milliseconds and share of each group."""
    blocks = []
    for r in records:
        total = r['seconds']
        rows = [
            [group, f'{seconds * 1e3:.0f}', f'{seconds / total:.1%}']
            for group, seconds in r['groups'].items()
        ]
        title = f'{r["model"]}, {r["mode"]}, {size_text(r)}, batch {r["batch"]}: {total * 1e3:.0f} ms'
        blocks.append(f'{title}\n{table_text(["operations", "ms", "share"], rows)}')
    return '\n'.join(blocks)


def plot_profile(records: List[Dict[str, Any]], path: str, title: str = '') -> None:
    """Plot one bar per case and model, divided into the groups.

    Args:
        records: Records as returned by ``profile_detectors``.
        path: File to write. Its suffix determines the format.
        title: Title of the figure.
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
        axis.set_xlabel('seconds per step')
    axes[0].legend(fontsize='x-small', loc='center left', bbox_to_anchor=(1, 0.5))
    figure.savefig(path, dpi=120)
