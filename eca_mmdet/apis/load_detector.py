"""Load a whole detector from a checkpoint."""

from pathlib import Path
from typing import Any, Dict, Mapping, Optional, Sequence, Tuple, Union

import torch
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn

from ..checkpoints import convert, recognise_detector
from ..checkpoints.convert import described_model
from ..checkpoints.detector_configs import class_names, detector_config
from ..checkpoints.detector_conversion import VERSIONS
from ..checkpoints.find_weights import Found, find_weights, require_finite
from ..checkpoints.io import prefix_errors, read_checkpoint
from ..hosts import HOSTS, require_host

# The only settings that a file may choose, each among known values.
_SETTINGS = {'config', 'eca_kernel_sizes', 'num_classes'}


def load_detector(
    path: Union[str, Path],
    device: Union[str, torch.device] = 'cpu',
    source: Optional[str] = None,
    weights: Optional[str] = None,
) -> nn.Module:
    """Build the detector that a checkpoint holds and load it strictly.

    The config is the one of this project for the detector's type and depth. For a detector trained with
    your own config, use ``mmdet.apis.init_detector`` with that config.

    Args:
        path: A whole detector that ``tools/convert_weights.py`` wrote or can convert.
        device: The device to move the detector to.
        source: The source format (``--source`` of the tool), such as ``'detector-1.x'``, if an original
            file does not say its version of mmdet.
        weights: The container to use, such as ``'model_ema'``, if there are several.

    Returns:
        The detector in evaluation mode. Like the result of ``mmdet.apis.init_detector``, it has the
        attributes ``cfg`` and ``dataset_meta`` that ``mmdet.apis.inference_detector`` needs.

    Raises:
        HostError: If mmdet is not installed.
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not a whole detector with ECA, or is damaged.
        RuntimeError: If a tensor of a converted file is missing, unexpected or of another shape.
    """
    require_host(HOSTS['mmdet'])
    with prefix_errors(path):
        state_dict, meta = _read_or_convert(find_weights(read_checkpoint(path), weights), source)
        described = meta['detector']
        cfg = detector_config(described['config'], described['eca_kernel_sizes'], described['num_classes'])
        dataset_meta = _dataset_meta(meta, described['num_classes'])
    init_default_scope('mmdet')
    detector = MODELS.build(cfg.model)
    detector.load_state_dict(state_dict, strict=True)
    detector.cfg, detector.dataset_meta = cfg, dataset_meta
    return detector.to(device).eval()


def _read_or_convert(found: Found, source: Optional[str]) -> Tuple[Dict[str, Tensor], Mapping[str, Any]]:
    """Return the tensors with the names of mmdet 3.x, and the metadata of a converted file."""
    meta = found.meta
    if 'detector' in meta:
        require_finite(found.tensors)
        if not isinstance(meta['detector'], dict) or set(meta['detector']) != _SETTINGS:
            raise ValueError('its metadata does not describe the detector; convert the original file again')
        return found.tensors, meta
    allowed = [f'detector-{version}' for version in VERSIONS]
    if source is not None and source not in allowed:
        raise ValueError(f'source={source!r}: allowed are {", ".join(allowed)}')
    if not recognise_detector(found.tensors):
        raise ValueError('it is not a whole detector. Load a backbone with eca_mmdet.load_backbone')
    conversion = convert(found, source)
    return conversion.state_dict, described_model(conversion)


def _dataset_meta(meta: Mapping[str, Any], num_classes: int) -> Dict[str, Any]:
    """Return class names and colours. Like mmdet, take 80 classes without names for those of COCO."""
    from mmdet.evaluation import get_classes

    coco = get_classes('coco')
    classes: Sequence[str] = class_names(meta, num_classes)
    if not classes:
        classes = coco if num_classes == len(coco) else [f'class {i}' for i in range(num_classes)]
    classes = tuple(classes)
    return dict(classes=classes, palette='coco' if classes == tuple(coco) else 'random')
