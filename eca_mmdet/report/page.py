"""Write the report of one or several runs: one HTML file that needs no other file and no network."""

import statistics
from datetime import datetime
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Sequence, Union

import jinja2

from ..atomic_write import write_text
from ..results_file import cell
from .charts import precision_charts, training_charts
from .config_differences import ABSENT, config_differences
from .plots import COLORS, heat_map
from .results_by_kind import COLUMNS, group_metrics
from .run_history import RunHistory

_EXAMPLES = 12
"""Images of a single run; several runs share them."""


class Table(NamedTuple):
    """A table of a page: cells are text, the first column names the rows."""

    head: List[str]
    rows: List[List[str]]


def write_report(runs: Sequence[RunHistory], target: Union[str, Path]) -> Path:
    """Write the report of runs, whole or not at all.

    Raises:
        OSError: If the file cannot be written.
    """
    return write_text(target, render(runs))


def render(runs: Sequence[RunHistory]) -> str:
    """Return the report of runs as HTML."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader('eca_mmdet', 'report'),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = [run.name for run in runs]
    return environment.get_template('page.html').render(
        title=names[0] if len(names) == 1 else 'Comparison of runs',
        date=datetime.now().strftime('%Y-%m-%d %H:%M'),
        names=names,
        colors=dict(zip(names, COLORS * (len(names) // len(COLORS) + 1))),
        overview=overview_table(runs),
        ap=ap_table(runs),
        numbers=number_table(runs),
        training=training_charts(runs),
        precision=precision_charts(runs),
        classes=class_tables(runs),
        confusions=_confusions(runs),
        examples=_examples(runs),
        differences=config_differences([run.config for run in runs if run.config]),
        with_config=[run.name for run in runs if run.config],
        absent=ABSENT,
    )


def overview_table(runs: Sequence[RunHistory]) -> Table:
    """Describe each run: iterations, last loss, time, memory and what was evaluated."""
    names = (
        'iterations',
        'loss at the end',
        'seconds per iteration',
        'memory, MB',
        'evaluated',
        'best validation',
    )
    rows: Dict[str, List[str]] = {name: [] for name in names}
    for run in runs:
        last = run.training[-1] if run.training else {}
        times = [record['time'] for record in run.training if 'time' in record]
        memory = [record['memory'] for record in run.training if 'memory' in record]
        rows['iterations'].append(cell(last.get('step')))
        rows['loss at the end'].append(cell(last.get('loss')))
        rows['seconds per iteration'].append(cell(statistics.median(times)) if times else '-')
        rows['memory, MB'].append(cell(round(max(memory))) if memory else '-')
        rows['evaluated'].append(_evaluated(run))
        rows['best validation'].append(_best(run))
    known = [[name, *row] for name, row in rows.items() if set(row) != {'-'}]
    return Table(['', *(run.name for run in runs)], known)


def _evaluated(run: RunHistory) -> str:
    about = run.evaluation
    if not about:
        return '-'
    what = {'val': 'validation', 'test': 'tools/test.py'}[about['split']]
    parts = [what]
    if about.get('iteration') is not None:
        parts.append(f'iteration {about["iteration"]}')
    if about.get('checkpoint'):
        parts.append(Path(about['checkpoint']).name)
    return ', '.join(parts)


def _best(run: RunHistory) -> str:
    """Describe the best value of the first result of the validations."""
    values = [(record['step'], group_metrics(record).flat()) for record in run.validations]
    name = next((name for _, row in values for name in row), None)
    known = [(value, step) for step, row in values if (value := row.get(name or '')) is not None]
    if not known:
        return '-'
    value, step = max(known)
    return f'{name} {cell(value)} at iteration {step}'


def ap_table(runs: Sequence[RunHistory]) -> Table:
    """Tabulate the AP of each run and kind in COCO's columns."""
    rows = [
        [*([run.name] if len(runs) > 1 else []), kind, *(cell(row.get(name)) for name in COLUMNS.values())]
        for run in runs
        for kind, row in run.results.ap.items()
    ]
    return Table([*(['run'] if len(runs) > 1 else []), '', *COLUMNS.values()], rows)


def number_table(runs: Sequence[RunHistory]) -> Table:
    """Tabulate all results but AP: a row per number, a column per run."""
    names = dict.fromkeys(name for run in runs for name in run.results.others)
    rows = [[name, *(cell(run.results.others.get(name)) for run in runs)] for name in names]
    return Table(['', *(run.name for run in runs)], rows)


def class_tables(runs: Sequence[RunHistory]) -> Dict[str, Table]:
    """Tabulate the results of classes: all columns of a single run, the first column of several runs."""
    found: Dict[str, Dict[str, Dict[str, Dict[str, Any]]]] = {}
    for run in runs:
        for details in run.details:
            found.setdefault(details.title, {})[run.name] = details.classes
        if run.results.classes and not run.details:
            found.setdefault('', {})[run.name] = run.results.classes
    return {title: _class_table(by_run, len(runs) > 1) for title, by_run in found.items()}


def _class_table(by_run: Dict[str, Dict[str, Dict[str, Any]]], is_comparison: bool) -> Table:
    classes = dict.fromkeys(name for rows in by_run.values() for name in rows)
    columns = dict.fromkeys(c for rows in by_run.values() for row in rows.values() for c in row)
    if is_comparison:
        first = next(iter(columns), '')
        head = ['class', *(f'{run} {first}' for run in by_run)]
        rows = [[name, *(cell(row.get(name, {}).get(first)) for row in by_run.values())] for name in classes]
        return Table(head, rows)
    only = next(iter(by_run.values()))
    return Table(['class', *columns], [[n, *(cell(only[n].get(c)) for c in columns)] for n in classes])


def _confusions(runs: Sequence[RunHistory]) -> List[Dict[str, Any]]:
    found = []
    for run in runs:
        for details in run.details:
            confusion = details.confusion
            if confusion is None:
                continue
            title = details.title if len(runs) == 1 else f'{run.name}: {details.title}'
            chart = heat_map(confusion, title) if confusion.counts else None
            found.append(dict(title=title, chart=chart, note=confusion.note, largest=confusion.largest[:10]))
    return found


def _examples(runs: Sequence[RunHistory]) -> List[Dict[str, Any]]:
    """Choose the images to show: of each group of a run the first ones."""
    most = max(2, _EXAMPLES // 2 // len(runs))
    found = []
    for run in runs:
        for details in run.details:
            groups: Dict[str, list] = {}
            for example in details.examples:
                groups.setdefault(example.group, []).append(example)
            for group, examples in groups.items():
                title = group if len(runs) == 1 else f'{run.name}: {group}'
                shown = examples[: most if len(groups) > 1 else 2 * most]
                found.append(dict(title=title, note=details.note, examples=shown))
    return found
