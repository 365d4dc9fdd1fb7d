"""A config's evaluators, set up so that all their numbers can be reported."""

import logging
from typing import Any, Dict, List, Union

from mmdet.evaluation import CocoMetric, CocoPanopticMetric
from mmdet.registry import METRICS
from mmengine.logging import print_log

from .coco_metric import FastCocoMetric

Evaluators = Union[dict, list]


def split_by_type(evaluator: Evaluators, classwise: bool = False) -> Evaluators:
    """One metric for each type such as bbox and segm, from ``CocoMetric`` evaluators that do several.

    mmdet stores the per-class AP of all types under the same names, so the last would replace the
    others. A prefix of its own keeps them apart. ``CocoMetric`` becomes ``FastCocoMetric``, which takes
    the same arguments; subclasses and other metrics stay as they are.

    Args:
        evaluator: A config's ``test_evaluator``; it is not changed.
        classwise: Also compute the AP of every class. If false, what the config says stays.

    Returns:
        A list of metrics. An evaluator class of the config's own, such as ``MultiDatasetsEvaluator``,
        stays a dict, and its metrics are not split.

    Raises:
        ValueError: If the options of a COCO metric are wrong.
        KeyError: If one of them has no such metric or metric item.
    """
    metrics = _metrics(evaluator)
    ours = [_prepared(item, classwise) for item in metrics]
    if classwise and not any(isinstance(item, dict) and item.get('classwise') for item in ours):
        print_log(
            '--classwise: none of the evaluators can report the AP of every class', level=logging.WARNING
        )
    for item in ours:
        _check_options(item)
    if is_custom(evaluator):
        return {**evaluator, 'metrics': ours}
    taken = {item.get('prefix') for item in ours if isinstance(item, dict) and not _is_ours(item)}
    split = []
    for item in ours:
        if not _is_ours(item) or item.get('format_only'):
            split.append(item)
            continue
        kinds = item.get('metric', 'bbox')
        for kind in [kinds] if isinstance(kinds, str) else kinds:
            label = _free_label(kind, item.get('prefix'), taken)
            taken.add(label)
            split.append({**item, 'metric': kind, 'prefix': label})
    return split


def use_fast_coco(evaluator: Evaluators) -> Evaluators:
    """``CocoMetric`` replaced by ``FastCocoMetric``, whose APs by class are right for any category ids.

    Args:
        evaluator: A config's evaluator; it is not changed.

    Returns:
        The evaluator with the same number of metrics, names and options.
    """
    ours = [_prepared(item, classwise=False) for item in _metrics(evaluator)]
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        return {**evaluator, 'metrics': ours}
    return ours if isinstance(evaluator, (list, tuple)) else ours[0]


def is_custom(evaluator: Evaluators) -> bool:
    """Whether a config names an evaluator class of its own, not just metrics."""
    if not isinstance(evaluator, dict) or 'metrics' not in evaluator:
        return False
    return evaluator.get('type') not in (None, 'Evaluator', 'mmengine.Evaluator')


def coco_kinds(evaluator: Evaluators) -> Dict[str, str]:
    """Prefix and type (``bbox``, ``segm``, ...) of the COCO metrics that ``split_by_type`` made."""
    if is_custom(evaluator):
        return {}
    return {item['prefix']: item['metric'] for item in _metrics(evaluator) if _is_split(item)}


def asked_for_ap(evaluator: Evaluators) -> List[str]:
    """Prefixes of the metrics of ``split_by_type`` that report an AP of boxes or masks."""
    return [
        item['prefix']
        for item in ([] if is_custom(evaluator) else _metrics(evaluator))
        if _is_split(item) and item['metric'] in ('bbox', 'segm') and _has_ap(item.get('metric_items'))
    ]


def result_prefixes(evaluator: Evaluators) -> List[str]:
    """The ``outfile_prefix`` of the metrics that only write result files."""
    metrics = [item for item in _metrics(evaluator) if isinstance(item, dict)]
    return sorted({item['outfile_prefix'] for item in metrics if item.get('format_only')})


def _metrics(evaluator: Evaluators) -> list:
    if isinstance(evaluator, dict) and 'metrics' in evaluator:
        evaluator = evaluator['metrics']
    return list(evaluator) if isinstance(evaluator, (list, tuple)) else [evaluator]


def _class(item: Any) -> Any:
    kind = item.get('type') if isinstance(item, dict) else type(item)
    return METRICS.get(kind) if isinstance(kind, str) else kind


def _is_ours(item: Any) -> bool:
    return isinstance(item, dict) and _class(item) is FastCocoMetric


def _is_split(item: Any) -> bool:
    return _is_ours(item) and not item.get('format_only')


def _prepared(item: Any, classwise: bool) -> Any:
    if not isinstance(item, dict):
        return item
    kind, more = _class(item), {}
    if kind is CocoMetric:
        more['type'] = 'mmdet.FastCocoMetric'
    if classwise and isinstance(kind, type) and issubclass(kind, (CocoMetric, CocoPanopticMetric)):
        more['classwise'] = True
    return {**item, **more}


def _check_options(item: Any) -> None:
    """Build a COCO metric without its annotations, which is quick and refuses what it does not take."""
    if not _is_ours(item):
        return
    try:
        METRICS.build({**item, 'type': FastCocoMetric, 'ann_file': None})
    except TypeError as error:
        raise ValueError(f'the evaluator {item["type"]} does not take its options: {error}') from None


def _free_label(kind: str, prefix: Any, taken: set) -> str:
    """The type itself; where another metric has this prefix, with the config's prefix or a number."""
    number, label = 1, kind
    while label in taken:
        label = f'{prefix}_{kind}' if number == 1 and prefix else f'{kind}_{number + 1}'
        number += 1
    return label


def _has_ap(items: Any) -> bool:
    return items is None or any('mAP' in item for item in ([items] if isinstance(items, str) else items))
