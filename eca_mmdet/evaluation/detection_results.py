"""Report the results of a detector as tables, and explain empty results."""

from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from ..results_file import cell, plain, text_table

COLUMNS = {'AP': 'mAP', 'AP50': 'mAP_50', 'AP75': 'mAP_75', 'APs': 'mAP_s', 'APm': 'mAP_m', 'APl': 'mAP_l'}
"""Maps COCO's column names to mmdet's metric items."""
NAMES = {name: column for column, name in COLUMNS.items()}
KINDS = {kind: kind for kind in ('bbox', 'segm', 'proposal', 'proposal_fast', 'panoptic')}
"""Default prefixes of the COCO metrics and their types, see ``coco_kinds``."""
PER_CLASS_SUFFIXES = {'panoptic': '_PQ'}
"""Ending of the results of classes, for each type of metric; ``_precision`` for all others."""
QUALITIES = ('PQ', 'SQ', 'RQ')
GROUPS = {'all': '', 'things': '_th', 'stuff': '_st'}
"""Ending of the panoptic quality of each group of classes."""


def collect_results(metrics: Dict[str, Any], kinds: Dict[str, str] = KINDS) -> Dict[str, Any]:
    """Group the results of an evaluation by metric.

    Args:
        metrics: The results of ``Runner.test``, with names such as ``segm/segm_mAP_50``.
        kinds: Prefix and type of each COCO metric.

    Returns:
        ``{prefix: {name: value}}``. AP values of COCO metrics are named as in ``COLUMNS``, and are ``None``
        if the data has no such objects. AP or PQ of each class is under ``per_class``. Results of other
        metrics keep their names and values. Results without a prefix are under ``other``.
    """
    results: Dict[str, Any] = {}
    for name, value in metrics.items():
        prefix, item = _split_name(name, kinds)
        row = results.setdefault(prefix, {})
        if prefix not in kinds:
            row[item if item not in row else name] = plain(value)
            continue
        suffix = PER_CLASS_SUFFIXES.get(kinds[prefix], '_precision')
        if item.endswith(suffix):
            row.setdefault('per_class', {})[item.removesuffix(suffix)] = _missing_as_none(value)
        else:
            item = item.removeprefix(f'{kinds[prefix]}_')
            row[NAMES.get(item, item)] = _missing_as_none(value)
    return {prefix: _sort_columns(row) for prefix, row in results.items()}


def _split_name(name: str, kinds: Dict[str, str]) -> Tuple[str, str]:
    for prefix in kinds:
        if name.startswith(f'{prefix}/'):
            return prefix, name[len(prefix) + 1 :]
    prefix, separator, item = name.partition('/')
    return (prefix, item) if separator else ('other', name)


def _sort_columns(row: Dict[str, Any]) -> Dict[str, Any]:
    """Put COCO's columns first and the per-class results last."""
    known = {column: row[column] for column in COLUMNS if column in row}
    rest = {key: value for key, value in row.items() if key != 'per_class'}
    classes = {key: row[key] for key in ('per_class',) if key in row}
    return {**known, **rest, **classes}


def _missing_as_none(value: Any) -> Any:
    """Replace -1 and NaN, which mean that there are no objects to find, by ``None``."""
    value = plain(value)
    return None if isinstance(value, float) and value < 0 else value


def results_table(results: Dict[str, Any]) -> str:
    """Format the results as text tables: AP, panoptic quality, other numbers, and results of classes."""
    columns = [column for column in COLUMNS if any(column in row for row in results.values())]
    ap = [
        [prefix, *(cell(row[column]) if column in row else '' for column in columns)]
        for prefix, row in results.items()
        if any(column in row for column in columns)
    ]
    panoptic = [
        [f'{prefix} {group}', *(cell(row.get(name + suffix)) for name in QUALITIES)]
        for prefix, row in results.items()
        for group, suffix in GROUPS.items()
        if 'PQ_th' in row
    ]
    qualities = {name + suffix for name in QUALITIES for suffix in GROUPS.values()}
    others = [
        [f'{prefix} {name}', cell(value)]
        for prefix, row in results.items()
        for name, value in row.items()
        if name not in columns and name != 'per_class' and not ('PQ_th' in row and name in qualities)
    ]
    by_class = {prefix: row['per_class'] for prefix, row in results.items() if 'per_class' in row}
    names = sorted({name for values in by_class.values() for name in values})
    classes = [[name, *(cell(values.get(name)) for values in by_class.values())] for name in names]
    tables = [
        (['', *columns], ap),
        (['', *QUALITIES], panoptic),
        (['', 'value'], others),
        (['class', *(f'{prefix} {_measure(results[prefix])}' for prefix in by_class)], classes),
    ]
    text = '\n'.join(text_table(head, rows) for head, rows in tables if rows)
    if any('-' in row for _, rows in tables for row in rows):
        text += '\n- : not measured, because the data has no such objects or the options exclude it'
    return text


def _measure(row: Dict[str, Any]) -> str:
    return 'PQ' if 'PQ' in row else 'AP'


def is_empty(results: Dict[str, Any], asked: List[str], detections: Optional[int]) -> bool:
    """Whether AP or PQ was requested and every AP and PQ is 0.

    Args:
        results: The results of ``collect_results``.
        asked: Prefixes of the metrics that report an AP or PQ, see ``asked_for_ap``.
        detections: Number of detections, or ``None`` if the detector predicts no boxes. Without detections,
            mmdet reports no results at all.
    """
    values = []
    for prefix in asked:
        row = results.get(prefix)
        if row is None:
            values += [0] if detections == 0 else [1]
        else:
            values += [row[column] for column in (*COLUMNS, 'PQ') if row.get(column) is not None]
    return bool(values) and not any(values)


def explain_empty(cfg: Config, detections: Optional[int], images: int, trained_iters: Any) -> str:
    """Describe an empty result and its possible causes, most likely first.

    Args:
        cfg: The config of the run.
        detections: Number of detections in all images, or ``None`` if the detector predicts no boxes.
        images: Number of evaluated images.
        trained_iters: Number of training iterations, if the checkpoint states it.
    """
    test_cfg = cfg.model.get('test_cfg') or {}
    threshold = (test_cfg.get('rcnn') or test_cfg).get('score_thr')
    if detections is None:
        finding = f'every AP or PQ on {images} images is below 0.0005'
    elif detections:
        finding = f'{detections} detections in {images} images, but none is correct (AP below 0.0005)'
    else:
        reached = '' if threshold is None else f' reached score_thr={threshold}'
        finding = f'no detection in {images} images{reached}'
    return '\n'.join(
        [
            f'The result is empty: {finding}. Possible causes, most likely first:',
            f'  - The checkpoint was trained too briefly (iterations: {trained_iters or "unknown"}).',
            '    Train longer, or set model.test_cfg.rcnn.score_thr=0.001 (RetinaNet:',
            '    model.test_cfg.score_thr).',
            '  - The classes or their order differ from training. Compare metainfo.classes.',
            '  - The image preprocessing differs from training. Compare model.data_preprocessor (mean, std,',
            '    bgr_to_rgb) and the scale of Resize.',
            '  - The detector is from mmdet 1.x, which encodes boxes and classes differently.',
        ]
    )
