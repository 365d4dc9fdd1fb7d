"""Choose the charts of a report: curves of the training, results over iterations, precision over recall."""

import re
from typing import Dict, List, NamedTuple, Sequence, Tuple

from .plots import MOST_LINES, Line, chunks, line_chart
from .results_by_kind import group_metrics
from .run_history import Records, RunHistory

Series = Dict[str, Dict[str, Line]]
"""Lines by the name of the value and the name of the run."""
_AUXILIARY = re.compile(r'd\d+\.|enc_')  # losses of the decoder layers of DETRs, and of two-stage proposals
_KNOWN = {
    'lr': 'learning rate',
    'time': 'seconds per iteration',
    'data_time': 'seconds waiting for data',
    'memory': 'memory, MB',
    'grad_norm': 'gradient norm',
}
_HIDDEN = {'epoch', 'iter', 'step', 'base_lr', 'loss'}


class Chart(NamedTuple):
    """A chart and its description for readers who cannot see it."""

    source: str
    text: str


def training_charts(runs: Sequence[RunHistory]) -> List[Chart]:
    """Draw losses, learning rate, results of validations, time and memory over iterations."""
    training: Series = _collect(runs, [run.training for run in runs])
    names = [name for name in training if not _AUXILIARY.match(name) and name not in _HIDDEN]
    terms = [name for name in names if 'loss' in name]
    others = [name for name in names if name not in terms and name not in _KNOWN]
    charts = _charts('loss', training, ['loss'])
    charts += _charts('loss terms', training, terms if len(terms) > 1 else [])
    charts += result_charts(runs)
    charts += _charts('learning rate', training, ['lr'])
    charts += _charts('time', training, ['time', 'data_time'])
    charts += _charts('memory, MB', training, ['memory'])
    charts += _charts('gradient norm', training, ['grad_norm'])
    charts += _charts('other values of the training', training, others)
    return charts


def result_charts(runs: Sequence[RunHistory]) -> List[Chart]:
    """Draw the results of the validations over iterations."""
    flat: List[Records] = []
    for run in runs:
        rows = []
        for record in run.validations:
            values = group_metrics(record).flat()
            kept = {name: value for name, value in values.items() if not _is_detail(name)}
            rows.append({**kept, 'step': record['step']})
        flat.append(rows)
    series = _collect(runs, flat)
    groups: Dict[str, List[str]] = {}
    for name in series:
        if name != 'step':
            title = 'AP' if name.endswith(' AP') else name.split('/')[0] if '/' in name else 'results'
            groups.setdefault(title, []).append(name)
    return [chart for title, names in groups.items() for chart in _charts(title, series, names, True)]


def _is_detail(name: str) -> bool:
    """Whether a result is one of the other columns of the AP table."""
    return bool(re.search(r' AP(50|75|s|m|l)$', name))


def _collect(runs: Sequence[RunHistory], records: Sequence[Records]) -> Series:
    series: Dict[str, Dict[str, Tuple[list, list]]] = {}
    for run, rows in zip(runs, records):
        for row in rows:
            for name, value in row.items():
                if isinstance(value, (int, float)) and not isinstance(value, bool):
                    x, y = series.setdefault(name, {}).setdefault(run.name, ([], []))
                    x.append(row['step'])
                    y.append(value)
    return {name: dict(lines) for name, lines in series.items()}


def _charts(title: str, series: Series, names: Sequence[str], is_dotted: bool = False) -> List[Chart]:
    """Draw values of one kind: of a single run in one chart, of several runs in a chart per value."""
    found = {name: series[name] for name in names if name in series}
    if not found:
        return []
    is_single = len({run for lines in series.values() for run in lines}) == 1
    if not is_single:
        return [_chart(_KNOWN.get(name, name), lines, is_dotted) for name, lines in found.items()]
    lines = {_KNOWN.get(name, name): next(iter(by_run.values())) for name, by_run in found.items()}
    if len(lines) == 1:
        title = next(iter(lines))
    return [_chart(title, part, is_dotted) for part in chunks(lines)]


def _chart(title: str, lines: Dict[str, Line], is_dotted: bool) -> Chart:
    text = f'{title} over iterations' + (f': {", ".join(lines)}' if len(lines) > 1 else '')
    return Chart(line_chart(title, lines, 'iteration', is_dotted), text)


def precision_charts(runs: Sequence[RunHistory]) -> List[Chart]:
    """Draw precision over recall: of a single run for IoU thresholds and classes, else for the runs."""
    if len(runs) > 1:
        return _compare_precision(runs)
    charts = []
    for details in runs[0].details:
        curves = details.curves
        if curves is None:
            continue
        mean: Dict[str, Line] = {f'IoU {iou}': (curves.recall, y) for iou, y in curves.mean.items()}
        charts.append(_precision_chart(f'{details.title}: mean of the classes', mean))
        if 1 < len(curves.classes) <= MOST_LINES:
            classes: Dict[str, Line] = {name: (curves.recall, y) for name, y in curves.classes.items()}
            charts.append(_precision_chart(f'{details.title}: classes, IoU {curves.iou}', classes))
    return charts


def _compare_precision(runs: Sequence[RunHistory]) -> List[Chart]:
    groups: Dict[str, Dict[str, Line]] = {}
    for run in runs:
        for details in run.details:
            curves = details.curves
            if curves is None:
                continue
            for iou, precision in curves.mean.items():
                groups.setdefault(f'{details.title}: IoU {iou}', {})[run.name] = (curves.recall, precision)
    return [_precision_chart(title, lines) for title, lines in groups.items()]


def _precision_chart(title: str, lines: Dict[str, Line]) -> Chart:
    chart = line_chart(title, lines, 'recall (vertical: precision)', limits=(0, 1.03))
    return Chart(chart, f'precision over recall, {title}')
