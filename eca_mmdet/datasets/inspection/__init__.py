"""Inspect a whole dataset: annotation files, image files, train against val, statistics, sample images."""

from .dataset_report import DatasetReport
from .inspect_dataset import inspect_dataset
from .report_page import check_out, write_report

__all__ = ['DatasetReport', 'check_out', 'inspect_dataset', 'write_report']
