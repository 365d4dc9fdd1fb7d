"""Write the report of a run after every evaluation and at the end of the training."""

import logging
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional

from mmengine.device import get_device
from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...report import EvaluationDetails, read_run, write_evaluation

PAGE = 'report.html'


@HOOKS.register_module()
class ReportHook(Hook):
    """Write ``report.html`` and ``evaluation.json`` into the work directory.

    A metric with an attribute ``keep_details`` gives details of its evaluation to the report: its method
    ``evaluation_details(with_examples)`` returns a list of ``EvaluationDetails``. On a CPU the hook also logs
    the peak memory of the process in MB. mmengine logs that of a GPU.

    A report that cannot be written is only a warning.
    """

    priority = 'LOWEST'  # after the checkpoint and the logs are written

    def __init__(self) -> None:
        self._written = -1
        self._logs_memory = sys.platform.startswith('linux') and get_device() == 'cpu'

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Log the peak memory of the process."""
        if self._logs_memory:
            import resource  # Unix only

            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            runner.message_hub.update_scalar('train/memory', peak)

    def before_val(self, runner: Runner) -> None:
        """Let the metrics keep what the report needs."""
        _keep_details(runner.val_loop)

    def before_test(self, runner: Runner) -> None:
        """Let the metrics keep what the report needs."""
        _keep_details(runner.test_loop)

    def after_val_epoch(self, runner: Runner, metrics: Optional[Dict[str, Any]] = None) -> None:
        """Write the results of a validation."""
        about = dict(split='val', iteration=runner.iter)
        self._report(lambda: self._write(runner, runner.val_loop, metrics, **about))

    def after_test_epoch(self, runner: Runner, metrics: Optional[Dict[str, Any]] = None) -> None:
        """Write the results of an evaluation."""
        about = dict(split='test', checkpoint=runner.cfg.get('load_from'))
        self._report(lambda: self._write(runner, runner.test_loop, metrics, **about))
        self._report(lambda: print_log(f'report: {Path(runner.work_dir, PAGE)}', 'current'))

    def after_train(self, runner: Runner) -> None:
        """Write the report if iterations followed the last validation."""
        if self._written != runner.iter:
            self._report(lambda: self._write_page(runner))
        self._report(lambda: print_log(f'report: {Path(runner.work_dir, PAGE)}', 'current'))

    @master_only
    def _report(self, write: Callable[[], None]) -> None:
        """Run a step in the main process. Its errors must not end a training."""
        try:
            write()
        except Exception as error:
            text = f'The report was not written: {type(error).__name__}: {error}'
            print_log(text, 'current', logging.WARNING)

    def _write(self, runner: Runner, loop: Any, metrics: Optional[Dict[str, Any]], **about: Any) -> None:
        details: List[EvaluationDetails] = []
        for metric in _metrics_with_details(loop):
            details += metric.evaluation_details(not any(item.examples for item in details))
        date = datetime.now().isoformat(timespec='seconds')
        write_evaluation(runner.work_dir, metrics or {}, details, date=date, **about)
        self._write_page(runner)

    def _write_page(self, runner: Runner) -> None:
        from ...report.page import write_report  # imports matplotlib

        write_report([read_run(runner.work_dir)], Path(runner.work_dir, PAGE))
        self._written = runner.iter


def _metrics_with_details(loop: Any) -> List[Any]:
    metrics = getattr(getattr(loop, 'evaluator', None), 'metrics', ())
    return [metric for metric in metrics if hasattr(metric, 'keep_details')]


def _keep_details(loop: Any) -> None:
    for metric in _metrics_with_details(loop):
        metric.keep_details = True
