"""Plot time or memory over image size, and ratios to the first model, with one column per mode."""

from typing import Any, Dict, List

from matplotlib.figure import Figure

_STYLES = ('-', '--', ':', '-.')


def plot_results(results: List[Dict[str, Any]], path: str, title: str = '') -> None:
    """Plot the results of a benchmark: cost in the upper row, ratios in the lower row.

    Each model has a color and each batch size a line style. Cases of changing image sizes are skipped.

    Args:
        results: Records as returned by ``benchmark_backbones``.
        path: File to write. Its suffix determines the format.
        title: Title of the figure.
    """
    results = [r for r in results if 'sizes' not in r]
    modes, models, batches = (
        list(dict.fromkeys(r[key] for r in results)) for key in ('mode', 'model', 'batch')
    )
    figure = Figure(figsize=(1 + 4 * len(modes), 7), layout='constrained')
    figure.suptitle(title, fontsize='small')
    axes = figure.subplots(2, len(modes), squeeze=False, sharex=True)
    for column, mode in enumerate(modes):
        for i, model in enumerate(models):
            for j, batch in enumerate(batches):
                case = (mode, model, batch)
                records = [r for r in results if (r['mode'], r['model'], r['batch']) == case]
                style = dict(color=f'C{i}', linestyle=_STYLES[j % 4], marker='o', markersize=3)
                _plot_line(axes[:, column], records, f'{model}, batch {batch}', style)
        axes[0, column].set_title(mode)
        axes[0, column].set_ylabel('MiB' if mode == 'memory' else 'ms per image')
        axes[1, column].set(xlabel='megapixels per image', ylabel=f'ratio to {models[0]}')
    axes[0, 0].legend(fontsize='x-small')
    figure.savefig(path, dpi=120)


def _plot_line(axes: Any, records: List[Dict[str, Any]], label: str, style: Dict[str, Any]) -> None:
    records = sorted(records, key=lambda r: r['size'][0] * r['size'][1])
    pixels = [r['size'][0] * r['size'][1] / 1e6 for r in records]
    axes[0].plot(pixels, [_cost(r) for r in records], label=label, **style)
    axes[1].plot(pixels, [r['ratio']['median'] for r in records], label=label, **style)
    if records and 'q1' in records[0]['ratio']:
        low, high = ([r['ratio'][q] for r in records] for q in ('q1', 'q3'))
        axes[1].fill_between(pixels, low, high, color=style['color'], alpha=0.15, linewidth=0)


def _cost(record: Dict[str, Any]) -> float:
    if 'bytes' in record:
        return record['bytes'] / 2**20
    return record['seconds']['median'] * 1e3 / record['batch']
