"""How the command-line tools end when the user can mend the cause."""

import sys
from contextlib import contextmanager
from typing import Iterator, Tuple, Type

USER_ERRORS = (ValueError, KeyError, OSError)


@contextmanager
def user_errors(kinds: Tuple[Type[Exception], ...] = USER_ERRORS, code: int = 2) -> Iterator[None]:
    """Print errors of these kinds as one message and exit, without a traceback.

    Args:
        kinds: Exception classes; by default those that checks of a user's input raise.
        code: Exit code: 2 for wrong input (as argparse), 1 for a run that stopped.
    """
    try:
        yield
    except kinds as error:
        message = error.args[0] if isinstance(error, KeyError) and error.args else error
        sys.stdout.flush()
        print(f'error: {message}', file=sys.stderr)
        raise SystemExit(code) from None
