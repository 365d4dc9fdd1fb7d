"""mmengine's storage on the local disk with atomic writing, and with removals that can be postponed."""

from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, Union

from mmengine.fileio import LocalBackend, register_backend

from ..atomic_write import write_atomically


class AtomicBackend(LocalBackend):
    """Local files that are written completely or not at all.

    Use it with ``backend_args=dict(backend='atomic')``.

    Attributes:
        outdated: Paths whose removal is postponed.
    """

    def __init__(self) -> None:
        self.outdated: List[str] = []
        self._depth = 0

    def put(self, obj: bytes, filepath: Union[str, Path]) -> None:
        """Write bytes atomically. A missing folder is created."""
        Path(filepath).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(filepath, lambda file: file.write(obj))

    def put_text(self, obj: str, filepath: Union[str, Path], encoding: str = 'utf-8') -> None:
        """Write text atomically. A missing folder is created."""
        self.put(obj.encode(encoding), filepath)

    @contextmanager
    def removals_last(self) -> Iterator[None]:
        """Postpone removals to the end of the outermost block. After an error, nothing is removed."""
        self._depth += 1
        try:
            yield
        except BaseException:
            self.outdated.clear()
            raise
        finally:
            self._depth -= 1
        while self.outdated and not self._depth:
            self._remove_now(self.outdated.pop(0))

    def remove(self, filepath: Union[str, Path]) -> None:
        """Remove a file, or postpone its removal."""
        if self._depth:
            self.outdated.append(str(filepath))
        else:
            super().remove(filepath)

    def rmtree(self, dir_path: Union[str, Path]) -> None:
        """Remove a folder, or postpone its removal."""
        if self._depth:
            self.outdated.append(str(dir_path))
        else:
            super().rmtree(dir_path)

    def _remove_now(self, path: str) -> None:
        if self.isdir(path):
            super().rmtree(path)
        elif self.isfile(path):
            super().remove(path)


register_backend('atomic', AtomicBackend, force=True)
