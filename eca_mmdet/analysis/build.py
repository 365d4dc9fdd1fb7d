"""Models to count, without memory: from a backbone's name, or from a config."""

from copy import deepcopy
from typing import Any, Dict, Optional, Sequence, Tuple

import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope
from torch import nn

from ..apis.config import load_config
from ..backbones import ECAResNet
from ..backbones.variants import VARIANTS
from .cost import Classifier

_NAMED = {'mobilenet_v2': dict(type='ECAMobileNetV2'), **VARIANTS}


def build_backbone(name: str, options: Optional[dict] = None, classes: int = 0) -> nn.Module:
    """Build a backbone of ours on the meta device.

    Args:
        name: A depth of ``ECAResNet``, a name of ``VARIANTS`` or ``'mobilenet_v2'``.
        options: Arguments of the backbone that override those of the name.
        classes: Classes of a linear classifier to add, 0 for none.

    Raises:
        ValueError: If there is no such backbone, or it does not take an option.
    """
    if name.isdecimal() and int(name) in ECAResNet.arch_settings:
        config = dict(depth=int(name))
    elif name in _NAMED:
        config = _NAMED[name]
    else:
        raise ValueError(
            f'--backbone {name}: there are the depths {sorted(ECAResNet.arch_settings)} and '
            f'{", ".join(_NAMED)}'
        )
    init_default_scope('mmdet')
    backbone = _build({'type': 'ECAResNet', **config, **(options or {})})
    if not classes:
        return backbone
    with torch.device('meta'):
        return Classifier(backbone, classes)


def build_detector(path: str, options: Optional[dict] = None) -> nn.Module:
    """Build a config's model on the meta device; for errors of the config see ``load_config``.

    Raises:
        ValueError: If the config has no model, or it cannot be built.
    """
    cfg = load_config(path, options)
    if 'model' not in cfg:
        raise ValueError(f'{path} has no `model`; give the config of a detector, not a part of one')
    init_default_scope(cfg.get('default_scope', 'mmdet'))
    return _build(cfg.model)


def image_shape(values: Optional[Sequence[int]], default: Tuple[int, int]) -> Tuple[int, int]:
    """Height and width from one or two integers, or the default.

    Raises:
        ValueError: If they are more, or not positive.
    """
    if not values:
        return default
    if len(values) > 2 or min(values) < 1:
        raise ValueError(
            f'--shape {" ".join(map(str, values))}: give height and width in pixels, or one side'
        )
    return values[0], values[-1]


def _build(config: Dict[str, Any]) -> nn.Module:
    try:
        with torch.device('meta'):
            return MODELS.build(deepcopy(config))
    except (TypeError, AssertionError) as error:
        raise ValueError(f'{config["type"]} cannot be built: {error or "its arguments do not fit"}') from None
