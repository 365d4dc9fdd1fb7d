"""Stop a training on Ctrl-C or SIGTERM, after saving a checkpoint."""

import os
import signal
import threading
from pathlib import Path
from typing import Any, Dict, Optional

from mmengine.hooks import EMAHook, Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..checkpoints.latest import read_meta, read_pointer, write_pointer
from . import atomic_backend  # noqa: F401  registers the backend

NAME = 'interrupted_iter_{}.pth'
"""The checkpoint of an interrupted run. The next regular checkpoint replaces it."""


class TrainingInterrupted(Exception):
    """A training stopped because of a signal. Everything is saved.

    Attributes:
        exit_code: The exit code of the command, as a shell reports it: 128 and the number of the signal.
    """

    def __init__(self, number: int, iteration: int, checkpoint: str) -> None:
        super().__init__(
            f'training interrupted by {signal.Signals(number).name} after iteration {iteration}. '
            f'It is saved in {checkpoint}'
        )
        self.exit_code = 128 + number


class StopSignals:
    """Remember Ctrl-C and SIGTERM instead of stopping at once, within a ``with`` block.

    A second Ctrl-C stops at once. Worker processes ignore Ctrl-C, which a terminal sends to them too.

    Attributes:
        received: The number of the first signal, or ``None``.
    """

    def __init__(self) -> None:
        self.received: Optional[int] = None
        self._pid = os.getpid()
        self._previous: Dict[int, Any] = {}

    def __enter__(self) -> 'StopSignals':
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def _handle(self, number: int, frame: Any) -> None:
        if os.getpid() != self._pid:  # a worker process
            if number == signal.SIGTERM:
                signal.signal(number, signal.SIG_DFL)
                os.kill(os.getpid(), number)
        elif number == signal.SIGINT and self.received is not None:
            raise KeyboardInterrupt
        else:
            self.received = number


@HOOKS.register_module()
class InterruptionHook(Hook):
    """Save a checkpoint and raise ``TrainingInterrupted`` when a signal was received.

    Args:
        signals: The signals that were received.
    """

    priority = 'LOWEST'

    def __init__(self, signals: StopSignals) -> None:
        self.signals = signals

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None):
        """Stop after an iteration."""
        if self.signals.received is not None:
            self._stop(runner, runner.iter + 1)

    def after_val_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None):
        """Stop within an evaluation, with the weights of the training in the model."""
        if self.signals.received is None:
            return
        for hook in runner.hooks:
            if isinstance(hook, EMAHook):
                hook.after_val_epoch(runner)  # swaps the averaged weights back
        self._stop(runner, runner.iter)

    def _stop(self, runner: Runner, iteration: int) -> None:
        number = self.signals.received
        assert number is not None
        path = read_pointer(runner.work_dir)
        if path is None or read_meta(path).get('iter') != iteration:
            path = str(Path(runner.work_dir, NAME.format(iteration)))
            runner.save_checkpoint(
                runner.work_dir,
                Path(path).name,
                meta=dict(epoch=runner.epoch, iter=iteration),
                by_epoch=False,
                backend_args=dict(backend='atomic'),
            )
            if runner.rank == 0:
                write_pointer(runner.work_dir, path)
        raise TrainingInterrupted(number, iteration, path)
