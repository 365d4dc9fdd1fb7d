"""Build models without memory, by the name of a backbone or by a config, to count their cost."""

from typing import Any, Mapping, Optional, Sequence, Tuple

import torch
from torch import nn

from ..apis.config import load_config
from ..backbones.family import find_variant
from ..meta_device import build_on_meta
from .cost import Classifier


def build_backbone(name: str, options: Optional[dict] = None, classes: int = 0) -> nn.Module:
    """Build a named backbone on the meta device.

    Args:
        name: See ``find_variant``.
        options: Arguments of the backbone that override those of the name.
        classes: Classes of a linear classifier to add, 0 for none.

    Raises:
        ValueError: If there is no such backbone, or it does not take an option.
    """
    _, config = find_variant(name)
    backbone = _build({**config, **(options or {})})
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
    return _build(cfg.model, cfg.get('default_scope', 'mmdet'))


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


def _build(config: Mapping[str, Any], scope: str = 'mmdet') -> nn.Module:
    try:
        return build_on_meta(config, scope)
    except (TypeError, AssertionError) as error:
        raise ValueError(f'{config["type"]} cannot be built: {error or "its arguments do not fit"}') from None
