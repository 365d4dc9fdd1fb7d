"""Identify files that cannot be read as a checkpoint, using only their bytes."""

import pickletools
import re
import zipfile
import zlib
from pathlib import Path
from typing import List, Optional

_AGAIN = 'download the checkpoint again'
_UNPACK = 'unpack it first'
_FIRST_BYTES = (
    (0, b'\x1f\x8b', f'compressed by gzip; {_UNPACK}'),
    (0, b'BZh', f'compressed by bzip2; {_UNPACK}'),
    (0, b'\xfd7zXZ\x00', f'compressed by xz; {_UNPACK}'),
    (0, b'\x28\xb5\x2f\xfd', f'compressed by zstd; {_UNPACK}'),
    (0, b'7z\xbc\xaf\x27\x1c', f'a 7z archive; {_UNPACK}'),
    (0, b'Rar!', f'a RAR archive; {_UNPACK}'),
    (257, b'ustar', f'a tar archive; {_UNPACK}'),
    (0, b'\x93NUMPY', 'a single NumPy array (.npy); a checkpoint is a dict of tensors saved by torch.save'),
    (0, b'\x89HDF\r\n\x1a\n', 'an HDF5 file, as Keras writes them; save its tensors by name with torch.save'),
    (0, b'version https://git-lfs', 'a pointer of Git LFS, not the file itself; fetch it with git lfs pull'),
    (0, b'GGUF', 'a GGUF file, which holds weights for llama.cpp'),
    (0, b'%PDF', f'a PDF document; {_AGAIN}'),
    (0, b'\x89PNG', f'a PNG image; {_AGAIN}'),
    (0, b'\xff\xd8\xff', f'a JPEG image; {_AGAIN}'),
)
_ONNX = re.compile(rb'\x08[\x01-\x1f][\x12\x3a]')  # the version, then the producer or the graph
_LEGACY = 0x1950A86A20F9469CFC6C  # the first pickle in files that torch before 1.6 wrote
_LEGACY_AS_TEXT = b'L119547037146038801333356L\n.'  # the same number in pickle protocols 0 and 1
_READABLE_PROTOCOLS = (2, 3)
_MOST_OPCODES = 1_000_000


def describe_file(path: Path) -> str:
    """Say what an unreadable file is and what to do with it.

    Args:
        path: A file that is not empty.

    Returns:
        A phrase to follow "FILE is" in an error message.
    """
    with open(path, 'rb') as file:
        head = file.read(512)
    if head[:2] == b'PK':
        return _describe_zip(path)
    if head.startswith(_LEGACY_AS_TEXT):
        return _other_protocol(path, 'pickle protocol 0 or 1')
    if head[:1] == b'\x80':
        return _describe_pickle(path)
    return known_kind(head) or f'not a torch checkpoint; {_AGAIN}'


def known_kind(head: bytes) -> Optional[str]:
    """Identify a file that is neither zip nor pickle by its first 512 bytes."""
    for start, magic, kind in _FIRST_BYTES:
        if head[start:].startswith(magic):
            return kind
    if _ONNX.match(head):
        return 'an ONNX model; export its weights with the library that wrote it'
    text = head.lstrip(b'\xef\xbb\xbf').lstrip()
    if text[:1] == b'<':
        return f'a web page (a download link that asked for confirmation); {_AGAIN}'
    if text[:1] in (b'{', b'[') and b'\x00' not in text:
        return f'JSON text, not a torch checkpoint; {_AGAIN}'
    return None


def _describe_zip(path: Path) -> str:
    if not zipfile.is_zipfile(path):
        return f'a truncated checkpoint or zip file; {_AGAIN}'
    try:
        with zipfile.ZipFile(path) as archive:
            return _describe_records(path, archive)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        return f'a damaged checkpoint or zip file ({error}); {_AGAIN}'
    except (OSError, RuntimeError, NotImplementedError, ValueError) as error:
        return f'a zip file that cannot be read ({error}); {_AGAIN}'


def _describe_records(path: Path, archive: zipfile.ZipFile) -> str:
    names = archive.namelist()
    content = [name for name in names if name.endswith('data.pkl')]
    if any(name.endswith('constants.pkl') for name in names):
        return (
            'a TorchScript archive (torch.jit.save), which is a program. If you trust it, save its '
            f'tensors: torch.save(torch.jit.load({str(path)!r}).state_dict(), NEW)'
        )
    if not content:
        return _other_zip(names)
    with archive.open(content[0]) as record:
        start = record.read(2)
    protocol = start[1] if len(start) == 2 and start[0] == 0x80 else None
    if protocol not in _READABLE_PROTOCOLS:
        return _other_protocol(path, f'pickle protocol {"0 or 1" if protocol is None else protocol}')
    damaged = archive.testzip()
    if damaged:
        return f'a damaged checkpoint (the checksum of {damaged} in it is wrong); {_AGAIN}'
    return f'a torch checkpoint with inconsistent content; {_AGAIN}'


def _other_zip(names: List[str]) -> str:
    if names and all(name.endswith('.npy') for name in names):
        return (
            'a NumPy archive (.npz); save its arrays as tensors: '
            'torch.save({name: torch.from_numpy(array) for name, array in numpy.load(...).items()}, NEW)'
        )
    if any(name.endswith(('archive_format', 'serialized_exported_program.json')) for name in names):
        return (
            'a torch.export archive (.pt2), which is a program. If you trust it, save its tensors: '
            'torch.save(torch.export.load(...).state_dict, NEW)'
        )
    if any(name.endswith('.data/extern_modules') for name in names):
        return 'a torch.package archive, which is a program; save the tensors of its model with torch.save'
    return (
        f'a zip file that torch did not write. It holds {names[:3] or "nothing"}; '
        f'{_UNPACK} if one of these is a checkpoint'
    )


def _describe_pickle(path: Path) -> str:
    """Describe a pickle: a checkpoint in the format of torch before 1.6, or any other."""
    protocol: Optional[int] = 0
    value, complete = None, False
    try:
        with open(path, 'rb') as file:
            for count, (opcode, argument, _) in enumerate(pickletools.genops(file)):
                if opcode.name == 'PROTO':
                    protocol = argument
                elif opcode.name.startswith('LONG') and count < 3:
                    value = argument
                if opcode.name == 'STOP' or count > _MOST_OPCODES:
                    complete = True
                    break
    except Exception:  # pickletools raises many types of errors on damaged files
        complete = False
    if value == _LEGACY and protocol not in _READABLE_PROTOCOLS:
        return _other_protocol(path, f'pickle protocol {protocol}')
    if not complete:
        return f'a truncated checkpoint; {_AGAIN}'
    if value == _LEGACY:
        return f"a truncated checkpoint, or one with objects that torch's format before 1.6 lacks; {_AGAIN}"
    return (
        f'a plain pickle, not a torch checkpoint; {_AGAIN}, or save its tensors with torch.save if you '
        'trust it'
    )


def _other_protocol(path: Path, protocol: str) -> str:
    return (
        f'a torch checkpoint of {protocol}. Reading without executing code (weights_only=True) supports '
        'only 2 and 3. If you trust the file, save it again:\n'
        f"      python -c \"import torch; torch.save(torch.load({str(path)!r}, map_location='cpu', "
        "weights_only=False), 'NEW.pth')\""
    )
