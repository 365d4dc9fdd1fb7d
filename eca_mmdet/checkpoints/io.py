"""All reading and writing of checkpoint files.

Reading executes no code from the file: torch's ``weights_only`` unpickler
builds tensors and plain data, and only the few named classes of
``TRAINING_STATE``. Writing is atomic: the target appears whole or not at all.
"""

import hashlib
import os
import pickle
import tempfile
import zipfile
from pathlib import Path
from typing import Any, Dict, List, Tuple, Union

import numpy as np
import torch
from mmengine.logging.history_buffer import HistoryBuffer


def history_statistic(owner: Any, name: str) -> Any:
    """The one use of ``getattr`` in mmengine's checkpoints: a statistic of ``HistoryBuffer``.

    Raises:
        pickle.UnpicklingError: For any other object or name.
    """
    if owner is HistoryBuffer and name in ('min', 'max', 'current', 'mean'):
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(f'GLOBAL getattr is refused for {owner!r}, {name!r}')


# What a checkpoint of mmengine 0.10 holds beside tensors and plain data: its loss history, of
# numpy arrays and of the names of its statistics. None of these runs what a file chooses. Without
# them torch >= 2.6 refuses to resume (torch.load's default became weights_only=True).
_RECONSTRUCT, _SCALAR = np.zeros(1).__reduce__()[0], np.float64(0).__reduce__()[0]
TRAINING_STATE = [
    HistoryBuffer,
    (history_statistic, 'builtins.getattr'),
    # numpy 2 renamed the module; files of both may be read by either
    *[(_RECONSTRUCT, f'numpy.{core}.multiarray._reconstruct') for core in ('core', '_core')],
    *[(_SCALAR, f'numpy.{core}.multiarray.scalar') for core in ('core', '_core')],
    np.ndarray,
    np.dtype,
    *{type(np.dtype(code)) for code in '?bhilqBHILQefd'},
]


def allow_training_state() -> None:
    """Let ``torch.load`` read mmengine's training state safely, for this process."""
    torch.serialization.add_safe_globals(TRAINING_STATE)


def sha256(path: Union[str, Path]) -> str:
    """Hash of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def read_checkpoint(path: Union[str, Path]) -> Any:
    """Read a torch file on the CPU without executing code from it.

    Args:
        path: A file written by ``torch.save``, of the zip or the older format.

    Returns:
        What was saved: tensors and plain data.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is a folder, empty, truncated, no checkpoint, or holds objects
            whose loading could run code.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such file; check the path, or download the checkpoint first')
    if path.is_dir():
        raise ValueError(f'{path} is a folder; name the checkpoint file in it')
    if path.stat().st_size == 0:
        raise ValueError(f'{path} is empty; the download or copy failed, get it again')
    try:
        # Not torch's `safe_globals` context: leaving it would also take back what a resume needs.
        allow_training_state()
        return torch.load(path, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        refused = [line for line in str(error).splitlines() if 'GLOBAL' in line]
        if refused:
            raise ValueError(
                f'{path} holds objects that only code from the file could build, which is refused: '
                f'{refused[0].strip()[:160]}; save its tensors alone, '
                "torch.save({'state_dict': ...}), where you trust the file"
            ) from None
        raise ValueError(_not_a_checkpoint(path)) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError,
            IndexError, AssertionError, UnicodeDecodeError, zipfile.BadZipFile):  # fmt: skip
        raise ValueError(_not_a_checkpoint(path)) from None


def unwrap(checkpoint: Any) -> Tuple[Dict[str, torch.Tensor], List[str]]:
    """Find the tensors of a checkpoint.

    Returns:
        The state dict, and the names of the entries beside it.

    Raises:
        ValueError: If there is none, or an entry of it is not a finite tensor with a name.
    """
    if not isinstance(checkpoint, dict):
        raise ValueError(f'a checkpoint is a dict of tensors, this file holds a {type(checkpoint).__name__}')
    state_dict, beside = checkpoint, []
    if isinstance(checkpoint.get('state_dict'), dict):
        state_dict = checkpoint['state_dict']
        beside = [str(key) for key in checkpoint if key != 'state_dict']
    wrong = [k for k, v in state_dict.items() if not isinstance(k, str) or not isinstance(v, torch.Tensor)]
    if wrong or not state_dict:
        raise ValueError(
            'no state dict found: expected tensors by name, at the top or under "state_dict"; '
            f'found {wrong[:5] or "nothing"}'
        )
    broken = [k for k, v in state_dict.items() if v.is_floating_point() and not v.isfinite().all()]
    if broken:
        raise ValueError(f'these tensors hold NaN or infinity, the file is damaged: {broken[:5]}')
    return dict(state_dict), beside


def _not_a_checkpoint(path: Path) -> str:
    with open(path, 'rb') as file:
        head = file.read(64)
    kind = 'a truncated checkpoint' if head[:2] in (b'PK', b'\x80\x02') else 'not a torch checkpoint'
    if head.lstrip()[:1] == b'<':
        kind = 'a web page (a download link that asked for confirmation)'
    return f'{path} ({path.stat().st_size:,} bytes) is {kind}; get the file again'


def check_target(path: Union[str, Path], overwrite: bool = False) -> Path:
    """Check that ``path`` can be written, before the work starts.

    Raises:
        FileExistsError: If it exists and ``overwrite`` is false, or is a folder.
        PermissionError: If it lies under a file or a folder that cannot be written.
    """
    path = Path(path)
    if path.is_dir():
        raise FileExistsError(f'{path} is a folder; name a file in it')
    if path.exists() and not overwrite:
        raise FileExistsError(f'{path} exists and is kept; name another target or pass --overwrite')
    folder = next(parent for parent in path.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise PermissionError(f'cannot write {path}: {folder} is not a folder this user may write to')
    return path


def write_checkpoint(checkpoint: Any, path: Union[str, Path], overwrite: bool = False) -> None:
    """Save a checkpoint: whole under its name, or not at all.

    Raises:
        FileExistsError: If the target exists and ``overwrite`` is false.
        PermissionError: If the target's folder cannot be written.
        OSError: If the disk is full.
    """
    path = check_target(path, overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f'.{path.name}.', suffix='.partial')
    except OSError as error:
        raise PermissionError(f'cannot write {path}: {error.strerror}') from None
    try:
        with os.fdopen(handle, 'wb') as file:
            torch.save(checkpoint, file)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)  # mkstemp's 0600 would surprise whoever shares the file
        os.replace(partial, path)
    except BaseException as error:
        os.unlink(partial)
        if isinstance(error, RuntimeError):  # torch's word for a full disk
            raise OSError(f'cannot write {path}: {error}') from None
        raise
