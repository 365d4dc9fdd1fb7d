"""Select and adapt the config of a converted detector. A file may only choose among known settings."""

from typing import Any, Dict, Mapping, Sequence, Tuple

from mmengine.config import Config
from torch import Tensor

from ..config_package import CONFIGS, PACKAGE
from ..meta_device import build_on_meta

KINDS = {'Faster R-CNN': 'faster_rcnn', 'Mask R-CNN': 'mask_rcnn', 'RetinaNet': 'retinanet'}
DEPTHS = (50, 101)


def config_name(kind: str, depth: int, legacy: bool) -> str:
    """Return the name of a detector's config, relative to the configs folder."""
    name = f'{KINDS[kind]}_ecanet{depth}_fpn_1x'
    return f'legacy/{name}_v1.py' if legacy else f'{name}.py'


CONFIG_NAMES = tuple(config_name(k, d, legacy) for legacy in (True, False) for k in KINDS for d in DEPTHS)
"""The configs that a converted file may name."""


def detector_config(name: str, kernel_sizes: Sequence[int], num_classes: int) -> Config:
    """Read the config of a detector and set the values that depend on its weights.

    Args:
        name: One of ``CONFIG_NAMES``.
        kernel_sizes: ECA kernel size of each of the four stages.
        num_classes: Number of classes without the background.

    Returns:
        The config. Its backbone loads no pretrained weights.

    Raises:
        ValueError: If an argument is invalid.
    """
    if name not in CONFIG_NAMES:
        allowed = ', '.join(CONFIG_NAMES)
        raise ValueError(f'no config of {PACKAGE} for whole detectors: {name!r}; allowed are {allowed}')
    sizes_fit = isinstance(kernel_sizes, (list, tuple)) and len(kernel_sizes) == 4
    if not sizes_fit or not all(type(k) is int and 0 < k < 100 and k % 2 for k in kernel_sizes):
        raise ValueError(f'ECA kernel sizes must be 4 odd integers, one per stage, got {kernel_sizes!r}')
    if type(num_classes) is not int or not 0 < num_classes < 100_000:
        raise ValueError(f'the number of classes must be a positive integer, got {num_classes!r}')
    cfg = Config.fromfile(CONFIGS / name)
    cfg.model.backbone.update(eca_kernel_sizes=list(kernel_sizes), init_cfg=None)
    heads = cfg.model.get('roi_head', cfg.model)
    for head in ('bbox_head', 'mask_head'):
        if head in heads:
            heads[head].num_classes = num_classes
    return cfg


def expected_tensors(cfg: Config) -> Dict[str, Tensor]:
    """Return the state_dict of a config's model on the meta device."""
    return build_on_meta(cfg.model).state_dict()


def class_names(meta: Mapping[str, Any], num_classes: int) -> Tuple[str, ...]:
    """Read the class names from the metadata of a detector, of any mmdet version.

    Returns:
        One name per class; empty if the file has no names.

    Raises:
        ValueError: If they are not strings, or their number differs from the number of classes.
    """
    described = meta.get('dataset_meta')
    names = described.get('classes') if isinstance(described, dict) else meta.get('CLASSES')
    if names is None:
        return ()
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise ValueError(f'class names must be a list of strings, the file has {str(names)[:80]}')
    if len(names) != num_classes:
        raise ValueError(f'the file names {len(names)} classes, but its weights have {num_classes}')
    return tuple(names)
