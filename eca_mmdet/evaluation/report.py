"""COCO results as one table and as JSON, and why a result may be empty."""

import json
from pathlib import Path
from typing import Any, Dict, List, Union

from mmengine.config import Config
from terminaltables import AsciiTable

COLUMNS = {'AP': 'mAP', 'AP50': 'mAP_50', 'AP75': 'mAP_75', 'APs': 'mAP_s', 'APm': 'mAP_m', 'APl': 'mAP_l'}
"""COCO's name of a column to mmdet's."""


def split_by_type(evaluator: Union[dict, list], classwise: bool) -> List[dict]:
    """One metric for each of bbox and segm, from evaluators that do several.

    mmdet stores the per-class AP of all types under the same names, so the last
    would replace the others. A prefix of its own keeps them apart.

    Args:
        evaluator: A config's ``test_evaluator``; it is not changed.
        classwise: Whether to compute the AP of every class.
    """
    evaluators = evaluator if isinstance(evaluator, (list, tuple)) else [evaluator]
    split = []
    for item in evaluators:
        if item['type'] not in ('CocoMetric', 'FastCocoMetric'):
            split.append(item)
            continue
        kinds = item.get('metric', 'bbox')
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            split.append({**item, 'metric': kind, 'prefix': kind, 'classwise': classwise})
    return split


def collect_results(metrics: Dict[str, float]) -> Dict[str, Any]:
    """Order the metrics of ``split_by_type`` evaluators as ``{type: {column: AP}}``.

    Args:
        metrics: As ``Runner.test`` returns them, such as ``segm/segm_mAP_50``.

    Returns:
        Per type the six COCO columns, ``None`` where the data has no such objects,
        and ``per_class`` where it was asked for.
    """
    results: Dict[str, Any] = {}
    for kind in ('bbox', 'segm'):
        if f'{kind}/{kind}_mAP' not in metrics:
            continue
        row: Dict[str, Any] = {c: _known(metrics[f'{kind}/{kind}_{name}']) for c, name in COLUMNS.items()}
        suffix = '_precision'
        classes = {
            key[len(kind) + 1 : -len(suffix)]: _known(value)
            for key, value in metrics.items()
            if key.startswith(f'{kind}/') and key.endswith(suffix)
        }
        results[kind] = {**row, 'per_class': classes} if classes else row
    return results


def _known(value: float):
    """COCO writes -1 (mmdet: NaN for a class) where there is nothing to find."""
    value = float(value)
    return None if value != value or value < 0 else value


def results_table(results: Dict[str, Any]) -> str:
    """The results as a table of text, per-class AP below where present."""

    def cell(value) -> str:
        return '-' if value is None else f'{value:.3f}'

    rows = [[kind, *(cell(row[column]) for column in COLUMNS)] for kind, row in results.items()]
    table = AsciiTable([['', *COLUMNS], *rows])
    table.justify_columns = dict.fromkeys(range(1, 7), 'right')
    text = table.table
    names = sorted({name for row in results.values() for name in row.get('per_class', {})})
    if names:
        columns = [row.get('per_class', {}) for row in results.values()]
        rows = [[name, *(cell(column.get(name)) for column in columns)] for name in names]
        classes = AsciiTable([['class', *(f'{kind} AP' for kind in results)]] + rows)
        classes.justify_columns = dict.fromkeys(range(1, 3), 'right')
        text += '\n' + classes.table
    if any(row[c] is None for row in results.values() for c in COLUMNS):
        text += '\n- : the data has no objects of this size or class'
    return text


def write_results(path: Union[str, Path], results: Dict[str, Any], **about: Any) -> None:
    """Write results and what they were measured on as JSON."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps({**about, 'results': results}, indent=2) + '\n')


def explain_empty(cfg: Config, detections: int, images: int, trained_iters: Any) -> str:
    """Say why nothing was found, most likely cause first.

    Args:
        cfg: The config of the run.
        detections: Number of detections over all images.
        images: Number of images evaluated.
        trained_iters: Iterations that the checkpoint was trained for, if it says so.
    """
    test_cfg = cfg.model.get('test_cfg') or {}
    threshold = (test_cfg.get('rcnn') or test_cfg).get('score_thr')
    if detections:
        first = f'{detections} detections in {images} images, none of them right'
    else:
        first = f'no detection in {images} images reached score_thr={threshold}'
    return '\n'.join(
        [
            f'The result is empty: {first}. Likely causes, in this order:',
            f'  - the checkpoint is hardly trained (it says {trained_iters or "unknown"} iterations): train',
            '    on, or look with model.test_cfg.rcnn.score_thr=0.001 (RetinaNet: model.test_cfg.score_thr)',
            '  - other classes or another class order than in training: compare metainfo.classes',
            '  - images prepared otherwise than in training: compare model.data_preprocessor (mean, std,',
            '    bgr_to_rgb) and the Resize scale',
            '  - a detector of mmdet 1.x, whose boxes and classes are coded differently',
        ]
    )
