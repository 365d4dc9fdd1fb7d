"""Load converted detectors in one line."""

from pathlib import Path
from typing import Any, Dict, Union

import torch
from mmdet.evaluation import get_classes
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from ..checkpoints.detector_configs import class_names, detector_config
from ..checkpoints.io import read_checkpoint, unwrap

# A file may choose these and nothing else, and each only among known values.
_SETTINGS = {'config', 'eca_kernel_sizes', 'num_classes'}


def load_detector(path: Union[str, Path], device: Union[str, torch.device] = 'cpu') -> nn.Module:
    """Build the detector that a converted file describes and load it strictly.

    Args:
        path: A file written by ``tools/convert_weights.py`` from a whole detector.
        device: Where the detector shall run.

    Returns:
        The detector in evaluation mode, as ``mmdet.apis.init_detector`` returns it: with
        ``cfg`` and ``dataset_meta``, for ``mmdet.apis.inference_detector``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file was not written by the converter, or is damaged.
        RuntimeError: If a tensor is missing, unexpected or of another shape.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    described = meta.get('detector') if isinstance(meta, dict) else None
    if not isinstance(described, dict) or set(described) != _SETTINGS:
        raise ValueError(
            f'{path} does not say which detector it holds; convert it with tools/convert_weights.py'
        )
    try:
        state_dict, _ = unwrap(checkpoint)
        cfg = detector_config(described['config'], described['eca_kernel_sizes'], described['num_classes'])
        dataset_meta = _dataset_meta(meta, described['num_classes'])
    except ValueError as error:
        raise ValueError(f'{path}: {error}') from None
    init_default_scope('mmdet')
    detector = MODELS.build(cfg.model)
    detector.load_state_dict(state_dict, strict=True)
    detector.cfg, detector.dataset_meta = cfg, dataset_meta
    return detector.to(device).eval()


def _dataset_meta(meta: Dict[str, Any], num_classes: int) -> Dict[str, Any]:
    """Class names and colours; 80 classes without names are COCO's, as mmdet takes them."""
    coco = get_classes('coco')
    classes = class_names(meta, num_classes)
    if not classes:
        classes = coco if num_classes == len(coco) else [f'class {i}' for i in range(num_classes)]
    classes = tuple(classes)
    return dict(classes=classes, palette='coco' if classes == tuple(coco) else 'random')
