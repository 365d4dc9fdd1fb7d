"""Find the datasets of a config, of any host library."""

from typing import Any, Dict, Iterator, NamedTuple, Optional, Tuple, Type

from mmengine.dataset import BaseDataset
from mmengine.fileio import join_path
from mmengine.registry import DATASETS, Registry
from mmengine.utils import is_abs

from .label_checks import Classes


class Split(NamedTuple):
    """A dataset of a config, without its wrappers.

    Args:
        key: Its name in the config, such as ``train_dataloader.dataset``.
        settings: Its settings in the config.
        cls: Its class.
        is_trained: Whether it is used for training.
    """

    key: str
    settings: Dict[str, Any]
    cls: Type[BaseDataset]
    is_trained: bool

    def resolve_path(self, name: str) -> str:
        """Join a path with ``data_root``, as mmengine does."""
        root = self.settings.get('data_root')
        if '://' in str(root) and name:  # join_path would access the storage backend
            return f'{root}/{name}'
        return join_path(root, name) if root and name and not is_abs(name) else name


def find_datasets(node: Any, key: str) -> Iterator[Tuple[str, dict]]:
    """Yield the names and settings of the datasets inside wrappers such as ``ConcatDataset``."""
    if isinstance(node.get('dataset'), dict):
        yield from find_datasets(node['dataset'], f'{key}.dataset')
    elif isinstance(node.get('datasets'), (list, tuple)):
        for index, inner in enumerate(node['datasets']):
            yield from find_datasets(inner, f'{key}.datasets.{index}')
    else:
        yield key, node


def dataset_class(node: dict, key: str) -> Type[BaseDataset]:
    """Return the class of a dataset.

    Raises:
        KeyError: If no class of this name is registered.
    """
    found = resolve_type(DATASETS, node.get('type'))
    if found is None:
        raise KeyError(
            f'{key}.type is {node.get("type")!r}, but no dataset class of this name is registered. To use '
            'your own class, add custom_imports=dict(imports=["your.module"]) to the config.'
        )
    return found


def resolve_type(registry: Registry, name_or_class: Any) -> Any:
    """Return the class that a config's ``type`` refers to, or ``None`` if it is not registered."""
    if not isinstance(name_or_class, str):
        return name_or_class
    with registry.switch_scope_and_registry(None) as current:
        return current.get(name_or_class)


def is_remote(path: Any, backend_args: Optional[dict] = None) -> bool:
    """Whether a path belongs to a storage backend rather than the local disk."""
    return '://' in str(path) or ((backend_args or {}).get('backend') or 'local') != 'local'


def class_names(split: Split) -> Classes:
    """Read the class names of a dataset as mmengine does. Empty if the config does not set them.

    Raises:
        ValueError: If they are neither a list nor a file with one class per line.
    """
    try:
        classes = split.cls._load_metainfo(split.settings.get('metainfo')).get('classes')
    except (OSError, TypeError, UnicodeError) as error:
        raise ValueError(f'{split.key}.metainfo cannot be read: {error}') from None
    if isinstance(classes, str) or not isinstance(classes, (list, tuple)):
        raise ValueError(
            f'{split.key}.metainfo.classes is {classes!r}. It must be a list of names, or a text file with '
            f'one name per line. For a single class, write metainfo=dict(classes=({classes!r},))'
        )
    return tuple(classes)
