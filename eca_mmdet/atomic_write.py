"""Write files so that a crash, a full disk or a power cut leaves the old file or the new one, complete."""

import errno
import os
import tempfile
from pathlib import Path
from typing import IO, Any, Callable, Union

SUFFIX = '.partial'


def write_atomically(path: Union[str, Path], save: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name in the same folder, flush it to disk and rename it.

    Args:
        path: The file to create or replace. Its folder must exist.
        save: Writes the content. It gets the open temporary file.

    Raises:
        OSError: If the file cannot be written, for example because the disk is full. The temporary file is
            removed, and an existing file keeps its content.
    """
    try:
        _write(Path(path), save)
    except OSError as error:
        # The operating system names the temporary file, or none.
        raise OSError(error.errno or errno.EIO, error.strerror or str(error), str(path)) from None


def write_text(path: Union[str, Path], text: str) -> Path:
    """Write a text file, whole or not at all; create its folder. Return the path without links."""
    path = Path(os.path.realpath(Path(path).expanduser()))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write(text.encode()))
    return path


def _write(path: Path, save: Callable[[IO[bytes]], Any]) -> None:
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix=SUFFIX)
    os.close(handle)
    try:
        with open(partial, 'wb') as file:  # by its name, because safetensors opens it again
            save(file)
        flush_to_disk(partial)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)  # mkstemp creates files that only their owner can read
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
    flush_to_disk(path.parent)


def flush_to_disk(path: Union[str, Path]) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno != errno.EINVAL:  # file systems that cannot flush a folder
            raise
    finally:
        os.close(handle)


def remove_leftovers(folder: Union[str, Path]) -> None:
    """Remove the temporary files of checkpoints whose writing was killed."""
    for pattern in ('.*.pth.*', '.last_checkpoint.*'):
        for leftover in Path(folder).glob(f'{pattern}{SUFFIX}'):
            leftover.unlink(missing_ok=True)
