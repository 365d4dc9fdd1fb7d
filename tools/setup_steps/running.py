"""Run one long command: its output to a log, a line of progress to the terminal, and a clean end.

A signal only leaves a note, which ``check_signals`` turns into ``Interrupted`` at places where
stopping is safe. So no signal can cut a clean-up short.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Optional

POLL_SECONDS = 0.3
PATIENCE_SECONDS = 5  # what a command has to end by itself when it is told to
PIPED_SECONDS = 15  # between two lines where the output is no terminal
COUNTS = re.compile(r'^\s*\[(\d+)/(\d+)\] ', re.MULTILINE)  # ninja's, indented by pip

_received = []


class Interrupted(BaseException):
    """A signal asked this run to end."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class StepFailed(Exception):
    """A command ended with an error."""


def note_signals() -> None:
    """From now on take note of Ctrl-C, SIGTERM and SIGHUP instead of ending at once."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        # nohup means it: only Ctrl-C is taken where it was ignored, as shells do for `command &`.
        if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda received, frame: _received.append(received))


def check_signals() -> None:
    """Raise ``Interrupted`` if a signal came since."""
    if _received:
        raise Interrupted(_received[0])


class Progress:
    """The progress line of one step, such as ``mmcv operators 12/98, 1:40, about 4:10 left``."""

    def __init__(self, title: str, stream=None, clock=time.monotonic) -> None:
        self.title, self.stream, self.clock = title, stream or sys.stdout, clock
        self.start = self.printed = clock()
        self.done = self.total = self.counted = 0

    def read(self, text: str) -> None:
        """Take the newest of ninja's counts in ``text``, where there are any."""
        counts = COUNTS.findall(text)
        if counts:
            self.done, self.total = map(int, counts[-1])
            self.counted = self.clock() - self.start

    def line(self) -> str:
        """The line as of now."""
        passed = self.clock() - self.start
        if not self.done:
            return f'{self.title}, {_minutes(passed)}'
        # Counted down between two counts, instead of growing with the time that has passed.
        left = max(0, self.counted * self.total / self.done - passed)
        return f'{self.title} {self.done}/{self.total}, {_minutes(passed)}, about {_minutes(left)} left'

    def show(self) -> None:
        """Write the line: over the last one on a terminal, else now and then as one of its own."""
        if self.stream.isatty():
            self.stream.write(f'\r{self.line()}\x1b[K')
        elif self.clock() - self.printed < PIPED_SECONDS:
            return
        else:
            self.stream.write(self.line() + '\n')
        self.printed = self.clock()
        self.stream.flush()

    def close(self, outcome: str) -> None:
        """Write the step's last line."""
        start = '\r' if self.stream.isatty() else ''
        end = '\x1b[K\n' if self.stream.isatty() else '\n'
        self.stream.write(f'{start}{self.title}: {outcome} after {_minutes(self.clock() - self.start)}{end}')
        self.stream.flush()


def run_logged(
    title: str,
    command: Sequence[str],
    log: Path,
    env: Optional[Mapping[str, str]] = None,
    pass_fds: Sequence[int] = (),
) -> None:
    """Run ``command`` with its output appended to ``log``, showing progress.

    Args:
        title: What the step is called in the progress line.
        command: Program and arguments.
        log: File that takes the output.
        env: The command's whole environment, or None for this process's.
        pass_fds: Open files that the command keeps open.

    Raises:
        StepFailed: With the end of the log and where it lies.
        Interrupted: A signal came; the command and all that it started have ended.
    """
    check_signals()
    progress = Progress(title)
    with open(log, 'ab') as output, open(log, 'rb') as written:
        written.seek(0, os.SEEK_END)
        child = subprocess.Popen(
            list(map(str, command)),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=env,
            pass_fds=pass_fds,
            start_new_session=True,  # its own process group: Ctrl-C reaches it through us alone
        )
        try:
            while True:
                try:
                    child.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    check_signals()
                    progress.read(written.read().decode(errors='replace'))
                    progress.show()
        except BaseException:
            stop_group(child)
            progress.close('stopped')
            raise
    check_signals()
    progress.close('failed' if child.returncode else 'done')
    if child.returncode:
        raise StepFailed(
            f'{title}: exit code {child.returncode} from: {" ".join(map(str, command))}\n'
            f'{log_end(log)}\nthe whole log: {log}'
        )


def stop_group(child: subprocess.Popen) -> None:
    """End ``child`` and everything it started, and wait until they are gone."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                os.killpg(child.pid, number)
            except (ProcessLookupError, PermissionError):  # the latter: macOS, where only zombies are left
                break
            child.poll()
            time.sleep(0.1)
    child.wait()


def log_end(log: Path, lines: int = 30) -> str:
    """The last lines of ``log``."""
    return '\n'.join(log.read_text(errors='replace').splitlines()[-lines:])


def _minutes(seconds: float) -> str:
    return f'{int(seconds) // 60}:{int(seconds) % 60:02d}'
