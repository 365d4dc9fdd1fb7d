"""Evaluate detectors on COCO metrics and report the results as tables and JSON."""

from .coco_metric import FastCocoMetric
from .detection_results import collect_results, explain_empty, is_empty, results_table
from .evaluators import asked_for_ap, coco_kinds, is_custom, result_prefixes, split_by_type, use_fast_coco
from .panoptic_metric import PanopticMetric

__all__ = [
    'FastCocoMetric',
    'PanopticMetric',
    'asked_for_ap',
    'coco_kinds',
    'collect_results',
    'explain_empty',
    'is_custom',
    'is_empty',
    'result_prefixes',
    'results_table',
    'split_by_type',
    'use_fast_coco',
]
