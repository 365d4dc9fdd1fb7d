"""Prepare the evaluators of a config so that all of their results can be reported."""

import logging
from typing import Any, Dict, List, TypeGuard, Union

from mmdet.evaluation import CocoMetric, CocoPanopticMetric
from mmdet.registry import METRICS
from mmengine.logging import print_log

from .coco_metric import FastCocoMetric
from .panoptic_metric import PanopticMetric

Evaluators = Union[dict, list]
_CLASSWISE = (CocoMetric, CocoPanopticMetric, PanopticMetric)


def split_by_type(evaluator: Evaluators, classwise: bool = False) -> Evaluators:
    """Split ``CocoMetric`` evaluators into one metric per type, such as bbox and segm, each with a prefix.

    mmdet stores the per-class AP of all types under the same names, so that the last type would overwrite
    the others. Each split metric gets its own prefix. ``CocoMetric`` is replaced by ``FastCocoMetric``,
    which accepts the same arguments. ``PanopticMetric`` gets a prefix too. Subclasses and other metrics are
    not changed.

    Args:
        evaluator: The ``test_evaluator`` of a config. It is not modified.
        classwise: Whether to compute the AP of every class even if the config does not ask for it.

    Returns:
        A list of metrics. A custom evaluator class, such as ``MultiDatasetsEvaluator``, stays a dict, and
        its metrics are not split.

    Raises:
        ValueError: If the options of a COCO metric are wrong.
        KeyError: If a metric or metric item is unknown.
    """
    metrics = [_use_fast_metric(item, classwise) for item in _list_metrics(evaluator)]
    if classwise and not any(isinstance(item, dict) and item.get('classwise') for item in metrics):
        print_log('--classwise: none of the evaluators can report results of classes', level=logging.WARNING)
    for item in metrics:
        _check_options(item)
    if is_custom(evaluator):
        return {**evaluator, 'metrics': metrics}
    used = {item.get('prefix') for item in metrics if isinstance(item, dict) and not _is_fast_coco(item)}
    split = []
    for item in metrics:
        kinds = _kinds(item)
        if not kinds:
            split.append(item)
        for kind in kinds:
            prefix = _unused_prefix(kind, item.get('prefix'), used)
            used.add(prefix)
            split.append({**item, 'prefix': prefix, **({} if kind == 'panoptic' else {'metric': kind})})
    return split


def use_fast_coco(evaluator: Evaluators) -> Evaluators:
    """Replace ``CocoMetric`` by ``FastCocoMetric``, whose per-class AP is right for any category ids.

    Args:
        evaluator: The evaluator of a config. It is not modified.

    Returns:
        The evaluator with the same number of metrics, the same names and the same options.
    """
    metrics = [_use_fast_metric(item, classwise=False) for item in _list_metrics(evaluator)]
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        return {**evaluator, 'metrics': metrics}
    return metrics if isinstance(evaluator, (list, tuple)) else metrics[0]


def is_custom(evaluator: Evaluators) -> TypeGuard[dict]:
    """Whether an evaluator is a custom evaluator class rather than one or more metrics."""
    if not isinstance(evaluator, dict) or 'metrics' not in evaluator:
        return False
    return evaluator.get('type') not in (None, 'Evaluator', 'mmengine.Evaluator')


def coco_kinds(evaluator: Evaluators) -> Dict[str, str]:
    """Map the prefix of each metric that ``split_by_type`` made to its type, such as ``'bbox'``."""
    if is_custom(evaluator):
        return {}
    return {item['prefix']: kind for item in _list_metrics(evaluator) for kind in _kinds(item)}


def asked_for_ap(evaluator: Evaluators) -> List[str]:
    """List the prefixes of the metrics from ``split_by_type`` that report an AP of boxes or masks, or PQ."""
    if is_custom(evaluator):
        return []
    return [
        item['prefix']
        for item in _list_metrics(evaluator)
        for kind in _kinds(item)
        if kind == 'panoptic' or (kind in ('bbox', 'segm') and _includes_ap(item.get('metric_items')))
    ]


def result_prefixes(evaluator: Evaluators) -> List[str]:
    """List the ``outfile_prefix`` of the metrics that only write result files."""
    metrics = [item for item in _list_metrics(evaluator) if isinstance(item, dict)]
    return sorted({item['outfile_prefix'] for item in metrics if item.get('format_only')})


def _list_metrics(evaluator: Evaluators) -> list:
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        evaluator = evaluator['metrics']
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def _metric_class(item: Any) -> Any:
    kind = item.get('type') if isinstance(item, dict) else type(item)
    return METRICS.get(kind) if isinstance(kind, str) else kind


def _is_fast_coco(item: Any) -> bool:
    return isinstance(item, dict) and _metric_class(item) is FastCocoMetric


def _kinds(item: Any) -> List[str]:
    """Return the types of a COCO metric, such as bbox and segm. Empty for other metrics."""
    if _is_fast_coco(item) and not item.get('format_only'):
        kinds = item.get('metric', 'bbox')
        return [kinds] if isinstance(kinds, str) else list(kinds)
    return ['panoptic'] if isinstance(item, dict) and _metric_class(item) is PanopticMetric else []


def _use_fast_metric(item: Any, classwise: bool) -> Any:
    if not isinstance(item, dict):
        return item
    cls = _metric_class(item)
    changes: Dict[str, Any] = {}
    if cls is CocoMetric:
        changes['type'] = 'mmdet.FastCocoMetric'
    if classwise and isinstance(cls, type) and issubclass(cls, _CLASSWISE):
        changes['classwise'] = True
    return {**item, **changes}


def _check_options(item: Any) -> None:
    """Check the options of a COCO metric by building it without its annotation file."""
    if not _is_fast_coco(item):
        return
    try:
        METRICS.build({**item, 'type': FastCocoMetric, 'ann_file': None})
    except TypeError as error:
        raise ValueError(f'wrong options of the evaluator {item["type"]}: {error}') from None


def _unused_prefix(kind: str, configured: Any, used: set) -> str:
    """Return the type as prefix. If it is used already, add the configured prefix or a number."""
    number, prefix = 1, kind
    while prefix in used:
        prefix = f'{configured}_{kind}' if number == 1 and configured else f'{kind}_{number + 1}'
        number += 1
    return prefix


def _includes_ap(items: Any) -> bool:
    return items is None or any('mAP' in item for item in ([items] if isinstance(items, str) else items))
