"""Download released checkpoints, check what they are, and convert them for the configs."""

import os
from pathlib import Path
from typing import Dict, Optional, Union

from mmengine.config import Config
from mmengine.logging import print_log
from torch import Tensor

from ..backbones.family import find_variant
from ..config_package import CONFIGS
from ..fetch import explain_failures, fetch
from ..meta_device import build_on_meta
from .convert import convert_file
from .find_weights import find_weights
from .formats import convert
from .io import check_target, prefix_errors, read_checkpoint
from .released import Released, find_released


def get_weights(
    name: str,
    folder: Union[str, Path] = '.',
    url: Optional[str] = None,
    file: Union[str, Path, None] = None,
    overwrite: bool = False,
) -> str:
    """Download a released checkpoint and convert it to the file that the configs read.

    An interrupted download is resumed by the next call. The downloaded file is kept in
    ``weights/downloads``, and is used again if it is there.

    Args:
        name: A name of ``released_checkpoints()`` or of a converted file, such as ``eca_resnet50_k3557``.
        folder: The folder that contains ``weights/``.
        url: Another place to download the file from, such as a mirror.
        file: A file that was downloaded with a browser; nothing is downloaded then.
        overwrite: Whether an existing converted file may be replaced.

    Returns:
        The report of the conversion.

    Raises:
        DownloadError: If the file cannot be downloaded.
        FileExistsError: If the converted file exists and ``overwrite`` is false.
        ValueError: If the name is unknown, or if the file is not what its name says.
    """
    released = find_released(name)
    target = Path(folder).expanduser() / released.target
    if target.exists() and not overwrite:
        raise FileExistsError(f'{target} is already there. To get it again, add --overwrite')
    check_target(target, overwrite)
    path = Path(file).expanduser() if file else _download(released, target.parent / 'downloads', url)
    try:
        _check_is(released, path)
    except ValueError:
        if not file:  # otherwise the next call would use it again
            os.replace(path, path.with_name(f'{path.name}.rejected'))
        raise
    return convert_file(path, target, overwrite)


def _download(released: Released, folder: Path, url: Optional[str]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (released.name.replace('/', '_') + ('.safetensors' if released.hub else '.pth.tar'))
    if path.is_file():
        print_log(f'{path} is already downloaded')
        return path
    with explain_failures(released.name, _by_hand(released)):
        if url or not released.hub:
            fetch(url or released.drive_url, path)
            return path
        return _fetch_from_hub(released.hub, folder, path)


def _by_hand(released: Released) -> str:
    links = '\n    '.join(released.links)
    return (
        f'Or download it with a browser:\n    {links}\nand convert the file:\n'
        f'    python tools/get_weights.py {released.name} --file DOWNLOADED'
    )


def _fetch_from_hub(repo: str, folder: Path, path: Path) -> Path:
    """Download ``model.safetensors`` of a repository of the Hugging Face hub."""
    from huggingface_hub import hf_hub_download

    endpoint = os.environ.get('HF_ENDPOINT')  # a mirror
    found = hf_hub_download(repo, 'model.safetensors', local_dir=folder / repo, endpoint=endpoint)
    os.replace(found, path)
    return path


def _check_is(released: Released, path: Path) -> None:
    """Check that a file contains the network that its name says, by the shapes of all tensors.

    Raises:
        ValueError: If it contains another network, or no network with ECA.
    """
    with prefix_errors(path):
        conversion = convert(find_weights(read_checkpoint(path, mmap=True)))
        found = {name: tuple(value.shape) for name, value in conversion.state_dict.items()}
        expected = {name: tuple(value.shape) for name, value in _expected(released).items()}
        wrong = sorted(name for name in {*found, *expected} if found.get(name) != expected.get(name))
        if wrong:
            name = wrong[0]
            raise ValueError(
                f'it is not {released.name}, but {conversion.network}. The first of {len(wrong)} differences '
                f'is {name}: {found.get(name, "missing")} instead of {expected.get(name, "nothing")}'
            )


def _expected(released: Released) -> Dict[str, Tensor]:
    """Return the tensors of a released network on the meta device."""
    if not released.config:
        return build_on_meta(find_variant(released.stem)[1]).state_dict()
    model = Config.fromfile(CONFIGS / released.config).model
    is_detector = released.config.startswith('legacy/') or released.stem.endswith('_v2')
    return build_on_meta(model if is_detector else {**model.backbone, 'init_cfg': None}).state_dict()
