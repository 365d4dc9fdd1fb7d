"""Draw charts as SVG images that an HTML page can contain.

Charts are narrow, so that their text is readable on a phone. Text stays text, which keeps the files small.
"""

import base64
import io
from typing import Any, Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import matplotlib
import numpy as np
from cycler import cycler
from matplotlib.figure import Figure

from .evaluation_details import Confusion

Line = Tuple[Sequence[float], Sequence[Optional[float]]]
"""The x and y values of a line; ``None`` is a gap."""

WIDTH, HEIGHT = 4.4, 2.6  # inches, without the legend: 422 pixels of a page, a phone shows about 360
_LEFT, _RIGHT, _TOP, _BOTTOM, _ROW = 0.66, 0.12, 0.3, 0.48, 0.18  # inches: margins, a row of the legend
MOST_LINES = 12
_POINTS = 500  # a line of more points looks the same
_WRITTEN = 14  # more classes leave no space for counts in the cells of a matrix
_NAMED = 40  # more classes leave no space for names
# Okabe and Ito's colours, which colour-blind readers can tell apart, and four more.
COLORS = (
    *('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'),
    *('#8c564b', '#555555', '#6a3d9a', '#b2a000', '#b15928', '#1b3a5c'),
)
_STYLE: Any = {
    'font.size': 9,
    'font.family': 'sans-serif',
    'axes.titlesize': 10,
    'axes.titleweight': 'bold',
    'axes.titlelocation': 'left',
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.edgecolor': '#888888',
    'axes.grid': True,
    'grid.color': '#e5e5e5',
    'axes.prop_cycle': cycler(color=COLORS),
    'legend.frameon': False,
    'lines.linewidth': 1.5,
    'svg.fonttype': 'none',
}


def line_chart(
    title: str,
    lines: Mapping[str, Line],
    x_label: str,
    is_dotted: bool = False,
    limits: Optional[Tuple[float, float]] = None,
) -> str:
    """Draw lines over a common axis.

    Args:
        title: The title of the chart.
        lines: The lines by their name in the legend.
        x_label: What the x axis is.
        is_dotted: Whether to mark the points, where there are few.
        limits: The ends of the y axis.

    Returns:
        The chart for the ``src`` of an ``<img>``.
    """
    with matplotlib.rc_context(_STYLE):
        columns = 2 if max(map(len, lines)) < 22 else 1
        legend = _ROW * -(-len(lines) // columns) if len(lines) > 1 else 0
        height = HEIGHT + legend
        figure = Figure(figsize=(WIDTH, height))
        # Fixed margins take half of the time of matplotlib's layout engines, and align the charts of a row.
        figure.subplots_adjust(
            _LEFT / WIDTH, (_BOTTOM + legend) / height, 1 - _RIGHT / WIDTH, 1 - _TOP / height
        )
        axes = figure.add_subplot(title=title, xlabel=x_label)
        for name, (x, y) in lines.items():
            step = -(-len(x) // _POINTS) or 1
            values = np.array([np.nan if value is None else value for value in y], float)
            marker = 'o' if is_dotted or len(x) == 1 else None
            axes.plot(np.asarray(x)[::step], values[::step], label=name, marker=marker, ms=3.5)
        axes.yaxis.set_major_formatter('{x:g}')
        if limits:
            axes.set_ylim(*limits)
        if legend:
            figure.legend(loc='lower center', ncols=columns, borderaxespad=0, labelspacing=0.2)
        return _encode(figure)


def heat_map(confusion: Confusion, title: str) -> str:
    """Draw a confusion matrix. Colours are the part of each row, numbers the counts.

    The row of the background shows the part of each column, since the background itself is not counted.
    """
    counts = np.array(confusion.counts)
    parts = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    if confusion.has_background:
        parts[-1] = counts[-1] / np.maximum(counts.sum(axis=0), 1)
    count, names = len(counts), [_shorten(name) for name in confusion.names]
    with matplotlib.rc_context({**_STYLE, 'axes.grid': False}):
        side = float(np.clip(1.6 + 0.42 * count, 3.0, WIDTH))
        figure = Figure(figsize=(side, side), layout='constrained')
        axes = figure.add_subplot(title=title, xlabel='prediction', ylabel='truth')
        axes.imshow(parts, cmap='Blues', vmin=0, vmax=1, interpolation='nearest')
        if count <= _NAMED:
            size = 8 if count <= _WRITTEN else 5
            axes.set_xticks(range(count), names, rotation=90 if count > 3 else 0, fontsize=size)
            axes.set_yticks(range(count), names, fontsize=size)
        if count <= _WRITTEN:
            _write_counts(axes, counts, parts)
        return _encode(figure)


def _write_counts(axes: Any, counts: np.ndarray, parts: np.ndarray) -> None:
    size = 8 if len(counts) <= 8 else 6
    for (row, column), value in np.ndenumerate(counts):
        if value:
            color = 'white' if parts[row, column] > 0.5 else 'black'
            axes.text(column, row, _short_count(value), ha='center', va='center', color=color, fontsize=size)


def _short_count(value: int) -> str:
    if value < 10_000:
        return str(value)
    return f'{value / 1e3:.0f}k' if value < 1_000_000 else f'{value / 1e6:.1f}M'


def _shorten(name: str) -> str:
    return name if len(name) <= 14 else f'{name[:13]}…'


def _encode(figure: Figure) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format='svg', metadata={'Date': None})
    return 'data:image/svg+xml;base64,' + base64.b64encode(buffer.getvalue()).decode()


def chunks(lines: Mapping[str, Line]) -> Iterator[Dict[str, Line]]:
    """Split many lines into groups that one chart can show."""
    names: List[str] = list(lines)
    for start in range(0, len(names), MOST_LINES):
        yield {name: lines[name] for name in names[start : start + MOST_LINES]}
