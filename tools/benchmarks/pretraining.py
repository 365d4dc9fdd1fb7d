"""Compare detectors that start from different weights by their AP after each epoch."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Union

from matplotlib.figure import Figure

METRICS = {'bbox AP': 'coco/bbox_mAP', 'segm AP': 'coco/segm_mAP'}


def read_curve(work_dir: Union[str, Path]) -> List[Dict[str, Any]]:
    """Read the AP after each epoch from the newest log of a run.

    Args:
        work_dir: The work directory of a training with ``train_cfg.val_interval=1``.

    Returns:
        ``[{'epoch': 1, 'bbox AP': ..., 'segm AP': ...}, ...]``.

    Raises:
        FileNotFoundError: If the folder has no log.
        ValueError: If the log has no evaluation.
    """
    logs = sorted(Path(work_dir).glob('*/vis_data/scalars.json'))
    if not logs:
        raise FileNotFoundError(f'{work_dir} has no log (*/vis_data/scalars.json). Name a work directory')
    records = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    curve = [
        dict(epoch=record['step'], **{name: record[key] for name, key in METRICS.items() if key in record})
        for record in records
        if METRICS['bbox AP'] in record
    ]
    if not curve:
        raise ValueError(f'{logs[-1]} has no evaluation. Train with --cfg-options train_cfg.val_interval=1')
    return curve


def plot_curves(runs: Mapping[str, Sequence[Mapping[str, Any]]], path: Union[str, Path]) -> None:
    """Plot AP over epochs, with a line per run and a column per metric.

    Args:
        runs: Curves as returned by ``read_curve``, by name.
        path: File to write. Its suffix determines the format.
    """
    names = [name for name in METRICS if all(name in record for curve in runs.values() for record in curve)]
    figure = Figure(figsize=(4.5 * len(names), 3.2), layout='constrained')
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names):
        for label, curve in runs.items():
            epochs = [record['epoch'] for record in curve]
            axes.plot(epochs, [record[name] for record in curve], marker='o', label=label)
        axes.set(xlabel='epoch', ylabel=name, ylim=(0, 1), xticks=epochs)
        axes.grid(alpha=0.3)
        axes.legend(fontsize='small', loc='lower right')
    figure.savefig(path, dpi=120)
