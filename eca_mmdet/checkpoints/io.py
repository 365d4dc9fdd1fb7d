"""Read and write checkpoint files.

Reading never executes code from the file. torch's ``weights_only`` unpickler builds only tensors, plain
data and the classes listed in ``training_state.py``. A safetensors file contains only tensors and text.
Writing is atomic: the target is either complete or unchanged.
"""

import hashlib
import json
import os
import pickle
import struct
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Callable, Dict, Iterator, Union

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ..atomic_write import write_atomically
from .file_kind import describe_file, known_kind
from .training_state import allow_training_state

SAFETENSORS = '.safetensors'


def sha256(path: Union[str, Path]) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with open(Path(path).expanduser(), 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def read_checkpoint(path: Union[str, Path], mmap: bool = False) -> Any:
    """Read a checkpoint on the CPU without executing code from it.

    Args:
        path: A file written by ``torch.save`` (zip or older format) or a safetensors file.
        mmap: Whether to memory-map the file. Tensors are then read on first use, and the file must
            not change while they exist.

    Returns:
        The saved object. For a safetensors file, the tensors are under ``state_dict`` and the
        metadata, if there is any, is under ``meta``.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If the file is a folder, empty, truncated or not a checkpoint (the message says
            what it is instead), or if loading its objects could execute code.
    """
    path = Path(path).expanduser()
    if not path.exists():
        raise FileNotFoundError(f'{path}: no such file; check the path, or download the checkpoint first')
    if path.is_dir():
        raise ValueError(f'{path} is a folder; name the checkpoint file in it')
    if path.stat().st_size == 0:
        raise ValueError(f'{path} is empty; the download or copy failed, get it again')
    if _is_safetensors(path):
        return _read_safetensors(path)
    try:
        # Not torch's `safe_globals` context: on exit it would also remove the classes that resuming needs.
        allow_training_state()
        if mmap and _is_stored_zip(path):
            return torch.load(path, map_location='cpu', weights_only=True, mmap=True)
        with open(path, 'rb') as file:  # given a path, torch trusts the suffix
            return torch.load(file, map_location='cpu', weights_only=True)
    except pickle.UnpicklingError as error:
        refused = [line for line in str(error).splitlines() if 'GLOBAL' in line]
        if refused:
            raise ValueError(
                f'{path} holds objects that only code from the file could build. Loading them is refused: '
                f'{refused[0].strip()[:160]}. If you trust the file, save only its tensors with '
                "torch.save({'state_dict': ...}, NEW)"
            ) from None
        raise ValueError(_not_a_checkpoint(path)) from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, TypeError, AttributeError,
            IndexError, AssertionError, UnicodeDecodeError, struct.error, zipfile.BadZipFile):  # fmt: skip
        raise ValueError(_not_a_checkpoint(path)) from None


@contextmanager
def prefix_errors(path: Union[str, Path]) -> Iterator[None]:
    """Prefix each ``ValueError`` of a block with the file's path, unless the message contains it already."""
    try:
        yield
    except ValueError as error:
        raise ValueError(str(error) if str(path) in str(error) else f'{path}: {error}') from None


def _is_safetensors(path: Path) -> bool:
    """Whether a file is safetensors, by its header, or by its suffix unless torch wrote it."""
    with open(path, 'rb') as file:
        head = file.read(9)
    if head[8:] == b'{' and 8 + int.from_bytes(head[:8], 'little') <= path.stat().st_size:
        return True
    return path.suffix == SAFETENSORS and head[:2] != b'PK' and head[:1] != b'\x80'


def _read_safetensors(path: Path) -> Dict[str, Any]:
    try:
        with safe_open(path, framework='pt') as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            meta = {key: _from_json(value) for key, value in (file.metadata() or {}).items()}
            return dict(state_dict=tensors, **(dict(meta=meta) if meta else {}))
    except (SafetensorError, ValueError, TypeError, RuntimeError, OSError) as error:
        with open(path, 'rb') as file:
            kind = known_kind(file.read(512))
        raise ValueError(
            f'{path} ({path.stat().st_size:,} bytes) is not a safetensors file, or a truncated one '
            f'({str(error)[:160]}); ' + (f'it is {kind}' if kind else 'download the checkpoint again')
        ) from None


def _from_json(text: str) -> Any:
    """Decode a metadata value written by ``write_weights``; return any other text unchanged."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _is_stored_zip(path: Path) -> bool:
    """Whether a file is a zip file without compression, which ``torch.load`` can memory-map."""
    if path.suffix == SAFETENSORS or not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(record.compress_type == zipfile.ZIP_STORED for record in archive.infolist())


def _own_storage(value: torch.Tensor) -> torch.Tensor:
    """Return the tensor on a storage of its own size. Only a non-contiguous tensor is copied."""
    value = value.detach().contiguous()
    storage, start = value.untyped_storage(), value.storage_offset() * value.element_size()
    if storage.nbytes() == value.nbytes:
        return value
    part = storage[start : start + value.nbytes]
    return torch.empty(0, dtype=value.dtype).set_(part, 0, value.shape, value.stride())


def _without_sharing(tensors: Dict[str, torch.Tensor]) -> Dict[str, torch.Tensor]:
    """Copy every tensor that shares memory with an earlier one."""
    taken: set = set()
    result = {}
    for name, value in tensors.items():
        memory = value.untyped_storage().data_ptr()
        result[name] = value.clone() if memory in taken else value
        taken.add(memory)
    return result


def _not_a_checkpoint(path: Path) -> str:
    return f'{path} ({path.stat().st_size:,} bytes) is {describe_file(path)}'


def check_target(path: Union[str, Path], overwrite: bool = False) -> Path:
    """Check that ``path`` can be written before doing the work.

    Returns:
        The path with ``~`` expanded and a symbolic link resolved.

    Raises:
        FileExistsError: If the path exists and ``overwrite`` is false, or if it is a folder or a
            symbolic link to itself.
        PermissionError: If the parent folder is not writable or is a file.
    """
    path = Path(path).expanduser()
    if path.is_dir():
        raise FileExistsError(f'{path} is a folder; name a file in it')
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_symlink():
        raise FileExistsError(f'{path} is a symbolic link to itself; remove it')
    if target.exists() and not overwrite:
        raise FileExistsError(f'{path} exists; name another target or pass --overwrite')
    folder = next(parent for parent in target.absolute().parents if parent.exists())
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise PermissionError(f'cannot write {path}: {folder} is not a folder this user may write to')
    return target


def write_weights(
    state_dict: Dict[str, torch.Tensor], meta: Dict[str, Any], path: Union[str, Path], overwrite: bool = False
) -> None:
    """Save tensors and their metadata as safetensors or with ``torch.save``, depending on the suffix.

    In a safetensors file the values of ``meta`` are stored as JSON. Tensors that share memory are
    copied, because the format does not support sharing. Raises the errors of ``write_checkpoint``.
    """
    plain = {key: _own_storage(value) for key, value in state_dict.items()}
    if Path(path).suffix == SAFETENSORS:
        plain = _without_sharing(plain)
        text = {'format': 'pt', **{key: json.dumps(value) for key, value in meta.items()}}
        write_file(path, overwrite, lambda file: save_file(plain, file.name, metadata=text))
    else:
        write_checkpoint(dict(state_dict=plain, meta=meta), path, overwrite)


def write_checkpoint(checkpoint: Any, path: Union[str, Path], overwrite: bool = False) -> None:
    """Save a checkpoint atomically.

    If ``path`` is a symbolic link, the file that it points to is created or replaced. Other hard
    links to a replaced file keep the old content.

    Raises:
        FileExistsError: If the target exists and ``overwrite`` is false.
        PermissionError: If the target's folder cannot be written.
        OSError: If the disk is full.
    """
    write_file(path, overwrite, lambda file: torch.save(checkpoint, file))


def write_file(path: Union[str, Path], overwrite: bool, save: Callable[[IO[bytes]], Any]) -> None:
    """Write a file whole or not at all; raise the errors of ``write_checkpoint``.

    Args:
        path: The file.
        overwrite: Whether an existing file is replaced.
        save: Writes the content to an open file.
    """
    path = check_target(path, overwrite)
    if path.exists() and not path.is_file():
        raise FileExistsError(f'{path} is a device or pipe, which cannot be replaced; name another target')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(f'cannot write {path}: {error.strerror}') from None
    try:
        write_atomically(path, save)
    except (RuntimeError, SafetensorError) as error:  # raised when the disk is full
        raise OSError(f'cannot write {path}: {error}') from None
    except OSError as error:
        raise type(error)(f'cannot write {path}: {error.strerror or error}') from None
