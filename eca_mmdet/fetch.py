"""Download files, with resume."""

import os
from pathlib import Path

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


def describe(error: BaseException) -> str:
    """Return the class of an error and the first line of its message."""
    lines = str(error).strip().splitlines()
    return f'{type(error).__name__}: {lines[0] if lines else ""}'
