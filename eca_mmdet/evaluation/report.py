"""The results of an evaluation as tables and as JSON, and why a result may be empty."""

import json
import math
import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple, Union

from mmengine.config import Config
from terminaltables import AsciiTable

COLUMNS = {'AP': 'mAP', 'AP50': 'mAP_50', 'AP75': 'mAP_75', 'APs': 'mAP_s', 'APm': 'mAP_m', 'APl': 'mAP_l'}
"""COCO's name of a column to mmdet's."""
NAMES = {name: column for column, name in COLUMNS.items()}
KINDS = {kind: kind for kind in ('bbox', 'segm', 'proposal', 'proposal_fast')}
"""Prefixes of COCO metrics and their types, as ``coco_kinds`` gives them."""
PER_CLASS = '_precision'


def collect_results(metrics: Dict[str, Any], kinds: Dict[str, str] = KINDS) -> Dict[str, Any]:
    """Order all numbers of an evaluation by metric.

    Args:
        metrics: As ``Runner.test`` returns them, such as ``segm/segm_mAP_50`` or ``pascal_voc/mAP``.
        kinds: Prefix and type of the COCO metrics among them.

    Returns:
        ``{prefix: {name: value}}``. Of a COCO metric, AP has the names of ``COLUMNS``, values are
        ``None`` where the data has no such objects, and the AP of each class is below ``per_class``.
        Names and values of other metrics stay; those without a prefix are below ``other``.
    """
    results: Dict[str, Any] = {}
    for name, value in metrics.items():
        prefix, item = _split_name(name, kinds)
        row = results.setdefault(prefix, {})
        if prefix not in kinds:
            row[item if item not in row else name] = plain(value)
        elif item.endswith(PER_CLASS):
            row.setdefault('per_class', {})[item[: -len(PER_CLASS)]] = _known(value)
        else:
            item = item.removeprefix(f'{kinds[prefix]}_')
            row[NAMES.get(item, item)] = _known(value)
    return {prefix: _ordered(row) for prefix, row in results.items()}


def _split_name(name: str, kinds: Dict[str, str]) -> Tuple[str, str]:
    for prefix in kinds:
        if name.startswith(f'{prefix}/'):
            return prefix, name[len(prefix) + 1 :]
    prefix, separator, item = name.partition('/')
    return (prefix, item) if separator else ('other', name)


def _ordered(row: Dict[str, Any]) -> Dict[str, Any]:
    """COCO's columns first, in their order, and the classes last."""
    known = {column: row[column] for column in COLUMNS if column in row}
    rest = {key: value for key, value in row.items() if key != 'per_class'}
    classes = {key: row[key] for key in ('per_class',) if key in row}
    return {**known, **rest, **classes}


def _known(value: Any) -> Any:
    """COCO writes -1 (for a class: NaN) where there is nothing to find."""
    value = plain(value)
    return None if isinstance(value, float) and value < 0 else value


def plain(value: Any) -> Any:
    """A metric's value as JSON has it: NaN as ``None``, infinity and unknown objects as text."""
    if isinstance(value, dict):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(inner) for inner in value]
    if hasattr(value, 'tolist'):  # of numpy and torch
        return plain(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def results_table(results: Dict[str, Any]) -> str:
    """The results as tables of text: COCO's AP, all other numbers, and AP by class where present."""
    columns = [column for column in COLUMNS if any(column in row for row in results.values())]
    ap = [
        [prefix, *(_cell(row[column]) if column in row else '' for column in columns)]
        for prefix, row in results.items()
        if any(column in row for column in columns)
    ]
    others = [
        [f'{prefix} {name}', _cell(value)]
        for prefix, row in results.items()
        for name, value in row.items()
        if name not in columns and name != 'per_class'
    ]
    by_class = {prefix: row['per_class'] for prefix, row in results.items() if 'per_class' in row}
    names = sorted({name for values in by_class.values() for name in values})
    classes = [[name, *(_cell(values.get(name)) for values in by_class.values())] for name in names]
    tables = [
        (['', *columns], ap),
        (['', 'value'], others),
        (['class', *(f'{k} AP' for k in by_class)], classes),
    ]
    text = '\n'.join(_table(head, rows) for head, rows in tables if rows)
    if any('-' in row for _, rows in tables for row in rows):
        text += '\n- : not measured: the data has no such objects, or the options leave it out'
    return text


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f'{value:.3f}' if value == 0 or abs(value) >= 0.001 else f'{value:.3g}'
    return '-' if value is None else str(value)


def _table(head: List[str], rows: List[List[str]]) -> str:
    table = AsciiTable([head, *rows])
    table.justify_columns = dict.fromkeys(range(1, len(head)), 'right')
    return table.table


def is_empty(results: Dict[str, Any], asked: List[str], detections: Optional[int]) -> bool:
    """Whether AP was asked for and all of it is 0.

    Args:
        results: As ``collect_results`` returns them.
        asked: Prefixes of the metrics that report an AP, as ``asked_for_ap`` gives them.
        detections: Number of detections, ``None`` if the detector has no boxes to count. mmdet reports
            nothing where there is none.
    """
    values = []
    for prefix in asked:
        row = results.get(prefix)
        if row is None:
            values += [0] if detections == 0 else [1]
        else:
            values += [row[column] for column in COLUMNS if row.get(column) is not None]
    return bool(values) and not any(values)


def write_results(path: Union[str, Path], results: Dict[str, Any], **about: Any) -> None:
    """Write results and what they were measured on as JSON: the whole file or none."""
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.unfinished')
    unfinished.write_text(json.dumps({**plain(about), 'results': plain(results)}, indent=2) + '\n')
    os.replace(unfinished, path)


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
        first = f'{detections} detections in {images} images, none of them right (AP below 0.0005)'
    else:
        reached = '' if threshold is None else f' reached score_thr={threshold}'
        first = f'no detection in {images} images{reached}'
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
