"""Download files, with resume."""

import os
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from mmengine.logging import print_log

INSTALL = "pip install 'eca_mmdet[weights]'"


class DownloadError(OSError):
    """Raised if a file could not be downloaded. The message says where a browser finds it."""


def fetch(url: str, path: Path) -> None:
    """Download a file from Google Drive or any other address.

    An interrupted download is resumed by the next call. Until it is complete, the file has another name.

    Args:
        url: The address.
        path: The file to write. It is kept if it exists.

    Raises:
        ImportError: If gdown is not installed.
        Exception: The errors of gdown, which are of many kinds.
    """
    if path.is_file():
        print_log(f'{path} is already downloaded')
        return
    import gdown

    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f'{path.name}.part')
    if not gdown.download(url=url, output=str(unfinished), resume=True):
        raise OSError(f'no file at {url}')
    os.replace(unfinished, path)


@contextmanager
def explain_failures(name: str, by_hand: str) -> Iterator[None]:
    """Turn the errors of a download into one that says how to continue.

    Args:
        name: What is downloaded, for the messages.
        by_hand: How to get the file with a browser.

    Raises:
        DownloadError: If the download fails.
    """
    try:
        yield
    except ImportError as error:
        raise DownloadError(f'{error}. For downloads:\n    {INSTALL}\n{by_hand}') from None
    except KeyboardInterrupt:
        print_log(f'Interrupted. The same command continues the download of {name}.')
        raise
    except Exception as error:  # the libraries raise errors of many kinds
        raise DownloadError(
            f'{name} could not be downloaded: {_describe(error)}\n'
            f'The same command continues an interrupted download. {by_hand}'
        ) from None


def _describe(error: BaseException) -> str:
    """Return the class of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0] if lines else ""}'
