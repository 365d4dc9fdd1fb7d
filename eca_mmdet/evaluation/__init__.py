"""COCO results for people: a table, JSON, and an explanation when there are none."""

from .report import collect_results, explain_empty, results_table, split_by_type, write_results

__all__ = ['collect_results', 'explain_empty', 'results_table', 'split_by_type', 'write_results']
