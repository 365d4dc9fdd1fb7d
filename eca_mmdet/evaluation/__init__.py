"""COCO evaluation on a fast backend, and its results for people: table, JSON, why there are none."""

from .coco_metric import FastCocoMetric
from .report import collect_results, explain_empty, results_table, split_by_type, write_results

__all__ = [
    'FastCocoMetric',
    'collect_results',
    'explain_empty',
    'results_table',
    'split_by_type',
    'write_results',
]
