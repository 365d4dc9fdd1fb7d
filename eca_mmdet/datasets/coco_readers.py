"""Tell which datasets of mmdet read COCO annotations in the usual way, so that they can be checked."""

from typing import Type

from mmdet.datasets import CocoDataset, CocoPanopticDataset, Objects365V1Dataset, Objects365V2Dataset
from mmengine.dataset import BaseDataset

from .config_datasets import Split, is_remote

_LOADERS = {cls.load_data_list for cls in (CocoDataset, Objects365V1Dataset, Objects365V2Dataset)}
_READING_METHODS = ('COCOAPI', '__init__', '_join_prefix', 'full_init', 'parse_data_info')


def is_panoptic(cls: Type[BaseDataset]) -> bool:
    """Whether a dataset class reads COCO's panoptic format."""
    return issubclass(cls, CocoPanopticDataset)


def unsupported_reason(split: Split) -> str:
    """Return why a dataset cannot be checked. Empty for COCO annotations on the local disk."""
    cls, settings = split.cls, split.settings
    if not (isinstance(cls, type) and issubclass(cls, CocoDataset)):
        return f'{getattr(cls, "__name__", cls)} does not read COCO annotations as CocoDataset does'
    known = CocoPanopticDataset if is_panoptic(cls) else CocoDataset
    if cls.load_data_list not in _LOADERS or any(
        getattr(cls, name) is not getattr(known, name) for name in _READING_METHODS
    ):
        return f'{cls.__name__} has its own code to read annotations'
    if is_remote(split.resolve_path(settings.get('ann_file', '')), settings.get('backend_args')):
        return 'its annotations are not on the local disk'
    return ''
