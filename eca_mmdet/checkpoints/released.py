"""The released checkpoints: their names, where they are published, and the file that the configs read."""

from difflib import get_close_matches
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from mmengine.fileio import load

from ..config_package import CONFIGS


class Released(NamedTuple):
    """A released checkpoint.

    Args:
        name: Its name, such as ``eca_resnet50_k3557`` or ``timm/ecaresnet50d.miil_in1k``.
        target: The converted file that the configs read, such as ``weights/eca_resnet50_k3557.pth``.
        config: A config that reads it, relative to the configs folder; an empty string if there is none.
        drive: Its id on Google Drive, or an empty string.
        baidu: Its key on Baidu, or an empty string.
        code: The extract code on Baidu.
        hub: The name of its repository on the Hugging Face hub, or an empty string.
    """

    name: str
    target: str
    config: str = ''
    drive: str = ''
    baidu: str = ''
    code: str = ''
    hub: str = ''

    @property
    def drive_url(self) -> str:
        """The address on Google Drive."""
        return f'https://drive.google.com/uc?id={self.drive}'

    @property
    def links(self) -> List[str]:
        """Where a browser finds the file."""
        links = [f'https://huggingface.co/{self.hub}'] if self.hub else []
        links += [self.drive_url] if self.drive else []
        code = f' (extract code {self.code})' if self.code else ''
        return links + ([f'https://pan.baidu.com/s/{self.baidu}{code}'] if self.baidu else [])

    @property
    def stem(self) -> str:
        """The name of the converted file without folder and suffix."""
        return Path(self.target).stem


def released_checkpoints(path: Path = CONFIGS / 'checkpoints.yml') -> Dict[str, Released]:
    """Read the released checkpoints, by name."""
    found = {}
    for group in load(path):
        for file, (target, config) in group['files'].items():
            places: Dict[str, Any] = dict(group['downloads'][file])
            places['config'] = (config or '').format(detector='faster_rcnn')
            for name, hub in _names(file, places.pop('hub', None)):
                found[name] = Released(name, target, hub=hub, **places)
    return found


def _names(file: str, hub: Optional[List[str]]) -> List[Tuple[str, str]]:
    """Return name and hub repository of a file, or of each of timm's weights of one network."""
    if hub:
        return [(f'timm/{name}', f'timm/{name}') for name in hub]
    return [(file.removesuffix('.pth.tar').replace(' ', '_'), '')]


def find_released(name: str) -> Released:
    """Find a released checkpoint by its name or by the name of the converted file.

    Raises:
        ValueError: If there is none of this name.
    """
    known = released_checkpoints()
    plain = name.removesuffix('.pth.tar').removesuffix('.pth').removeprefix('weights/')
    for released in known.values():
        if plain in (released.name, released.name.removeprefix('timm/'), released.stem):
            return released
    similar = get_close_matches(plain, [*known, *(item.stem for item in known.values())], n=3)
    hint = f'Did you mean {", ".join(similar)}? ' if similar else ''
    raise ValueError(
        f'{name}: no released checkpoint of this name. {hint}Known are:\n  ' + '\n  '.join(known)
    )
