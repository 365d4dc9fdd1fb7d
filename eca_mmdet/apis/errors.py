"""Error messages of the command-line tools."""

import sys
from contextlib import contextmanager
from typing import Iterator, Tuple, Type

from ..environment import MissingPackageError
from ..hosts import HostError

USER_ERRORS = (ValueError, KeyError, OSError, HostError, MissingPackageError)


@contextmanager
def user_errors(kinds: Tuple[Type[Exception], ...] = USER_ERRORS, code: int = 2) -> Iterator[None]:
    """Print exceptions of these classes as a message without a traceback, and exit.

    Args:
        kinds: Exception classes. By default those that checks of user input raise.
        code: Exit code: 2 for wrong input (as in argparse), 1 for a run that failed.
    """
    try:
        yield
    except kinds as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.stdout.flush()
        print(f'error: {message}', file=sys.stderr)
        raise SystemExit(code) from None
