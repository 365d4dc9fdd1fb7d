"""Load converted detectors in one line."""

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmdet.evaluation import get_classes
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import Tensor, nn

from ..checkpoints import convert, recognise_detector
from ..checkpoints.convert import described_model
from ..checkpoints.detector_configs import class_names, detector_config
from ..checkpoints.detector_conversion import VERSIONS
from ..checkpoints.find_weights import Found, find_weights, require_finite
from ..checkpoints.io import prefix_errors, read_checkpoint

# A file may choose these and nothing else, and each only among known values.
_SETTINGS = {'config', 'eca_kernel_sizes', 'num_classes'}


def load_detector(
    path: Union[str, Path],
    device: Union[str, torch.device] = 'cpu',
    source: Optional[str] = None,
    weights: Optional[str] = None,
) -> nn.Module:
    """Build the detector that a file holds and load it strictly.

    Its config is this project's for its kind and depth; what was trained with a config of your
    own loads by that one, with ``mmdet.apis.init_detector``.

    Args:
        path: A file that ``tools/convert_weights.py`` wrote of a whole detector, or one that it converts.
        device: Where the detector shall run.
        source: The mmdet version of a file that is not converted and does not say it:
            a choice of the tool's ``--source``, such as ``'detector-1.x'``.
        weights: The entry that holds the weights, such as ``'model_ema'``, where there are several.

    Returns:
        The detector in evaluation mode, as ``mmdet.apis.init_detector`` returns it: with
        ``cfg`` and ``dataset_meta``, for ``mmdet.apis.inference_detector``.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no whole detector with ECA, or is damaged.
        RuntimeError: If a tensor of a converted file is missing, unexpected or of another shape.
    """
    with prefix_errors(path):
        state_dict, meta = _described(find_weights(read_checkpoint(path), weights), source)
        described = meta['detector']
        cfg = detector_config(described['config'], described['eca_kernel_sizes'], described['num_classes'])
        dataset_meta = _dataset_meta(meta, described['num_classes'])
    init_default_scope('mmdet')
    detector = MODELS.build(cfg.model)
    detector.load_state_dict(state_dict, strict=True)
    detector.cfg, detector.dataset_meta = cfg, dataset_meta
    return detector.to(device).eval()


def _described(found: Found, source: Optional[str]) -> Tuple[Dict[str, Tensor], Mapping[str, Any]]:
    """The tensors under mmdet 3.x's names and what the converter writes beside them."""
    meta = found.meta
    if 'detector' in meta:
        require_finite(found.tensors)
        if not isinstance(meta['detector'], dict) or set(meta['detector']) != _SETTINGS:
            raise ValueError('it does not say which detector it holds; convert the original file again')
        return found.tensors, meta
    allowed = [f'detector-{version}' for version in VERSIONS]
    if source is not None and source not in allowed:
        raise ValueError(f'source={source!r}: allowed are {", ".join(allowed)}')
    if not recognise_detector(found.tensors):
        raise ValueError('it is not a whole detector; eca_mmdet.load_backbone loads backbones')
    conversion = convert(found, source)
    return conversion.state_dict, described_model(conversion)


def _dataset_meta(meta: Mapping[str, Any], num_classes: int) -> Dict[str, Any]:
    """Class names and colours; 80 classes without names are COCO's, as mmdet takes them."""
    coco = get_classes('coco')
    classes: Sequence[str] = class_names(meta, num_classes)
    if not classes:
        classes = coco if num_classes == len(coco) else [f'class {i}' for i in range(num_classes)]
    classes = tuple(classes)
    return dict(classes=classes, palette='coco' if classes == tuple(coco) else 'random')
