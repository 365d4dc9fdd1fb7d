"""Find the files of CIFAR, or let MMPretrain download them before the run."""

from pathlib import Path
from typing import Any

from mmengine.logging import print_log

from ..datasets.config_datasets import Split


def check_cifar(split: Split) -> None:
    """Check that the files of CIFAR-10 or CIFAR-100 are there, and download them otherwise.

    Raises:
        FileNotFoundError: If they are missing and cannot be downloaded.
    """
    cls: Any = split.cls
    root = split.resolve_path(split.settings.get('data_prefix', '')) or split.settings['data_root']
    folder = Path(root, cls.base_folder)
    names = [name for name, _ in [*cls.train_list, *cls.test_list]]
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return
    reason = 'download=False'
    if split.settings.get('download', True):
        print_log(f'{cls.__name__} is not in {root} and is downloaded from {cls.url}.')
        try:
            cls(**{name: value for name, value in split.settings.items() if name not in ('type', 'pipeline')})
            return
        except (OSError, RuntimeError) as error:
            reason = f'the download failed: {error}'
    raise FileNotFoundError(
        f'{cls.__name__} of {split.key} not found: {missing[0]} is not in {folder}, and {reason}. Unpack\n'
        f'    {cls.url}\nin {root}, or name another folder with\n    --cfg-options data_root=/path/to/cifar'
    )
