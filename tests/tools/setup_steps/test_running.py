"""Progress lines and the log of a failed command."""

import io
import sys

import pytest
from setup_cases import running


class Terminal(io.StringIO):
    def isatty(self):
        return True


def progress_at(seconds, stream=None):
    """A progress whose clock shows ``seconds[0]``."""
    return running.Progress('mmcv operators', stream or io.StringIO(), clock=lambda: seconds[0])


def test_progress_line_counts_and_foretells():
    now = [0]
    progress = progress_at(now)
    now[0] = 100
    progress.read('  [1/98] c++ -MMD a.cpp\n  [12/98] c++ -MMD b.cpp\n  [13/9')
    assert progress.line() == 'mmcv operators 12/98, 1:40, about 11:56 left'
    now[0] = 106  # counted down while no new count comes
    assert progress.line() == 'mmcv operators 12/98, 1:46, about 11:50 left'


def test_progress_line_without_counts_tells_the_time():
    now = [5]
    progress = progress_at(now)
    progress.read('Collecting mmcv==2.1.0\n  warning: array [3/4] of something\n')
    now[0] = 70
    assert progress.line() == 'mmcv operators, 1:05'


def test_progress_is_one_line_every_fifteen_seconds_in_a_pipe():
    now, stream = [0], io.StringIO()
    progress = progress_at(now, stream)
    for now[0] in range(61):
        progress.show()
    assert stream.getvalue().splitlines() == [
        f'mmcv operators, {time}' for time in ('0:15', '0:30', '0:45', '1:00')
    ]


def test_progress_overwrites_its_line_on_a_terminal():
    stream = Terminal()
    progress = progress_at([0], stream)
    progress.show()
    progress.show()
    progress.close('done')
    assert stream.getvalue().count('\r') == 3
    assert stream.getvalue().count('\n') == 1


def test_failed_command_shows_the_end_of_its_log_and_where_it_lies(tmp_path):
    log = tmp_path / 'log'
    command = [sys.executable, '-c', 'for i in range(40): print("line", i)\nraise SystemExit(3)']
    with pytest.raises(running.StepFailed, match='exit code 3') as told:
        running.run_logged('step', command, log)
    message = str(told.value)
    assert 'line 39' in message
    assert 'line 10\n' in message
    assert 'line 9\n' not in message
    assert str(log) in message
