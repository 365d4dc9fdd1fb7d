"""Train, and turn what can go wrong with files into one message."""

import errno
from typing import Optional

from mmengine.runner import Runner

from ..checkpoints.latest import read_pointer
from ..engine.interruption import InterruptionHook, StopSignals

ADVICE = {
    errno.ENOSPC: 'free disk space',
    errno.EDQUOT: 'free disk space, the quota is used up',
    errno.EROFS: 'make the folder writable, its file system is read-only',
    errno.EACCES: 'make the folder writable',
    errno.EPERM: 'make the folder writable',
    errno.ENOENT: 'bring the file or folder back',
}


class TrainingFailedError(RuntimeError):
    """A training stopped because a file could not be read or written."""


def train(runner: Runner) -> None:
    """Run a training.

    Raises:
        TrainingInterrupted: After Ctrl-C or SIGTERM. A checkpoint was saved.
        TrainingFailedError: If a file cannot be read or written. Complete checkpoints are unchanged.
        NonFiniteLossError: If a loss or weight is not finite.
        LoadedWeightsError: If a checkpoint did not take effect.
    """
    with StopSignals() as signals:
        runner.register_hook(InterruptionHook(signals))
        try:
            runner.train()
        except OSError as error:
            raise TrainingFailedError(_message(runner, error)) from error


def _message(runner: Runner, error: OSError) -> str:
    reason = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    number = _errno(error)
    try:
        saved = read_pointer(runner.work_dir)
    except OSError:
        saved = None
    lines = [
        f'training stopped: {reason}',
        f'  last checkpoint  {saved or "none yet"}',
        f'  advice           {ADVICE.get(number or 0, "remove the cause")}, then run the same command with '
        '--resume',
    ]
    return '\n'.join(lines)


def _errno(error: OSError) -> Optional[int]:
    """Return the number of an error. An error of a worker process has only its class."""
    if error.errno is not None:
        return error.errno
    return errno.ENOENT if isinstance(error, FileNotFoundError) else None
