"""Build models without memory or initialisation, to read names and shapes from them."""

from copy import deepcopy
from typing import Any, Mapping

import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn


def build_on_meta(config: Mapping[str, Any], scope: str = 'mmdet') -> nn.Module:
    """Build a registered model with all tensors on torch's meta device.

    Args:
        config: The config of the model; it is not changed.
        scope: The registry scope in which the types of its parts are looked up first.
    """
    with DefaultScope.overwrite_default_scope(scope), torch.device('meta'):
        return MODELS.build(deepcopy(dict(config)))
