"""Find the newest checkpoint of a work directory that a training can resume."""

import os
import re
from pathlib import Path
from typing import Any, Iterator, List, Mapping, NamedTuple, Optional, Tuple, Union

from mmengine.logging import print_log

from ..atomic_write import write_atomically
from .io import read_checkpoint
from .mmengine_loading import is_remote

POINTER = 'last_checkpoint'
"""The file in a work directory that names its last checkpoint."""

NEEDED = ('meta', 'message_hub', 'optimizer')
"""What a checkpoint must hold besides weights to be resumed."""


class Latest(NamedTuple):
    """A checkpoint to resume."""

    path: str
    meta: Mapping[str, Any]


def write_pointer(work_dir: Union[str, Path], checkpoint: Union[str, Path]) -> None:
    """Record the last checkpoint of a run, atomically, with its path relative to the work directory."""
    relative = os.path.relpath(checkpoint, work_dir)
    write_atomically(Path(work_dir, POINTER), lambda file: file.write(relative.encode()))


def read_pointer(work_dir: Union[str, Path]) -> Optional[str]:
    """Return the path of the last checkpoint of a run; ``None`` if nothing is recorded.

    The path is absolute in runs of mmengine. If the work directory was moved since then, the file of the same
    name in it is meant. The file may be missing.
    """
    pointer = Path(work_dir, POINTER)
    text = pointer.read_text(errors='replace').strip() if pointer.is_file() else ''
    if not text or is_remote(text):
        return text or None
    path = Path(work_dir, text)
    moved = Path(work_dir, path.name)
    return str(moved if moved.is_file() and not path.is_file() else path)


def find_latest(work_dir: Union[str, Path]) -> Optional[Latest]:
    """Find the newest checkpoint of a work directory that can be resumed.

    The checkpoint that ``last_checkpoint`` names comes first, then all others from the latest to the first
    epoch or iteration. A warning names those that were skipped.

    Returns:
        The checkpoint, or ``None`` if nothing was saved yet.

    Raises:
        ValueError: If there is a last checkpoint, but neither it nor another one can be resumed.
    """
    skipped: List[str] = []
    for path in _candidates(Path(work_dir)):
        if is_remote(path):
            return Latest(path, {})
        meta, problem = _meta_to_resume(path)
        if problem:
            skipped.append(problem)
            continue
        if skipped:
            print_log(f'Resuming {path} instead of newer files: ' + '; '.join(skipped), 'current', level=30)
        return Latest(path, meta)
    if skipped and Path(work_dir, POINTER).is_file():
        raise ValueError(
            f'no checkpoint in {work_dir} can be resumed: {"; ".join(skipped)}. Name one with '
            '--resume CHECKPOINT, or leave the option out to start again'
        )
    return None


def read_meta(path: str) -> Mapping[str, Any]:
    """Return the metadata of a checkpoint; empty if it is not on this machine or cannot be read."""
    try:
        checkpoint = {} if is_remote(path) else read_checkpoint(path)
    except (OSError, ValueError):
        return {}
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    return meta if isinstance(meta, dict) else {}


def _candidates(work_dir: Path) -> Iterator[str]:
    pointed = read_pointer(work_dir)
    if pointed:
        yield pointed
    saved = [path for path in work_dir.glob('*.pth') if re.search(r'(^|_)(epoch|iter)_\d+\.pth$', path.name)]
    saved.sort(key=lambda path: (int(re.findall(r'\d+', path.name)[-1]), path.stat().st_mtime), reverse=True)
    best = {path for path in saved if path.name.startswith('best_')}  # without an optimizer
    yield from (str(path) for path in saved if str(path) != pointed and path not in best)


def _meta_to_resume(path: str) -> Tuple[Mapping[str, Any], str]:
    """Return the metadata of a checkpoint, and why it cannot be resumed."""
    try:
        checkpoint = read_checkpoint(path)
    except FileNotFoundError:
        return {}, f'{path}, which is not there'
    except ValueError as error:
        return {}, str(error)
    missing = [name for name in NEEDED if not isinstance(checkpoint, dict) or name not in checkpoint]
    if missing:
        return {}, f'{path} holds no training to resume ({", ".join(missing)} missing)'
    return checkpoint['meta'], ''
