"""Download and unpack the archives of COCO."""

import os
import shutil
import zipfile
from pathlib import Path
from typing import Optional, Union

from mmengine.logging import print_log
from mmengine.utils import ProgressBar, track_iter_progress

from ..fetch import explain_failures, fetch
from .coco_copy import checksum
from .coco_release import COCO2017, Archive, CocoRelease

_GIB = 1 << 30


def download_coco(
    target: Union[str, Path], release: CocoRelease = COCO2017, server: Optional[str] = None
) -> None:
    """Download what is missing in a folder, verify it and unpack it.

    An interrupted download is resumed by the next call. The archives stay in ``downloads/``.

    Args:
        target: The folder of the dataset.
        release: What to download.
        server: Another server with the same files, such as a mirror.

    Raises:
        DownloadError: If a file cannot be downloaded.
        OSError: If the disk has too little space.
        ValueError: If a downloaded file has another size or checksum. It is renamed, so that the next call
            downloads it again.
    """
    target = Path(target).expanduser()
    missing = [
        archive
        for archive in release.archives
        if not all((target / member).exists() for member in archive.members)
    ]
    target.mkdir(parents=True, exist_ok=True)
    _check_space(target, missing)
    for archive in missing:
        path = target / 'downloads' / archive.name
        _download(archive, path, server or release.server)
        _verify(archive, path)
        _unpack(archive, path, target)
    if missing:
        print_log(f'{target}/downloads is no longer needed and can be removed')


def _check_space(target: Path, archives: list) -> None:
    """Check that archives and unpacked files fit on the disk."""
    needed = 0
    for archive in archives:
        path = target / 'downloads' / archive.name
        needed += archive.size if path.is_file() else 2 * archive.size
    free = shutil.disk_usage(target).free
    if needed > free:
        raise OSError(
            f'{target} has {free / _GIB:.1f} GiB of free space, but {needed / _GIB:.1f} GiB are needed for '
            'the archives and what they contain. Name a folder on another disk with --target'
        )


def _download(archive: Archive, path: Path, server: str) -> None:
    url = f'{server.rstrip("/")}/{archive.path}'
    by_hand = f'Or download it with a browser, to {path}:\n    {url}'
    print_log(f'downloading {url} ({archive.size / _GIB:.2f} GiB)')
    with explain_failures(archive.name, by_hand):
        fetch(url, path)


def _verify(archive: Archive, path: Path) -> None:
    size, found = path.stat().st_size, ''
    if size == archive.size:
        progress = ProgressBar(-(-size // (1 << 22)))
        found = checksum(path, 'md5', lambda _: progress.update())
        progress.file.write('\n')
    if found != archive.md5:
        os.replace(path, path.with_name(f'{path.name}.rejected'))
        found = f' and the MD5 sum {found}' if found else ''
        raise ValueError(
            f'{path} is not the published file: it has {size} bytes{found}. '
            f'Expected are {archive.size} bytes and {archive.md5}. The file now ends in .rejected; the same '
            'command downloads it again'
        )


def _unpack(archive: Archive, path: Path, target: Path) -> None:
    """Unpack an archive into a folder with another name, and move its members when all are there."""
    unfinished = target / 'downloads' / f'{archive.name}.unpacked'
    shutil.rmtree(unfinished, ignore_errors=True)
    with zipfile.ZipFile(path) as file:
        for member in track_iter_progress(file.infolist()):
            file.extract(member, unfinished)  # zipfile removes `..` and absolute paths
    for name in archive.members:
        os.replace(unfinished / name, target / name)
    shutil.rmtree(unfinished)
