"""What all backbones of this package share: initialisation, frozen stages and ``norm_eval``."""

import warnings
from typing import Any, Optional, Self

from mmengine.model import BaseModule
from torch.nn.modules.batchnorm import _BatchNorm

INIT_CFG = (
    dict(type='Kaiming', layer='Conv2d'),
    dict(type='Constant', val=1, layer=['_BatchNorm', 'GroupNorm']),
)
"""The initialisation of mmdet's backbones."""


class BaseBackbone(BaseModule):
    """The base of the backbones of this package.

    Args:
        frozen_stages: Number of stages whose parameters are not trained.
        norm_eval: Whether batch norms use their running statistics in training too.
        pretrained: Deprecated; use ``init_cfg=dict(type='Pretrained', checkpoint=...)``.
        init_cfg: As in mmengine's ``BaseModule``; ``None`` for ``INIT_CFG``.

    Raises:
        ValueError: If ``pretrained`` and ``init_cfg`` are set.
    """

    def __init__(
        self, frozen_stages: int, norm_eval: bool, pretrained: Optional[str] = None, init_cfg: Any = None
    ) -> None:
        super().__init__(_initialisation(init_cfg, pretrained))
        self.frozen_stages, self.norm_eval = frozen_stages, norm_eval

    def _freeze_stages(self) -> None:
        """Freeze the parameters of ``frozen_stages``, and set these stages to evaluation mode."""
        raise NotImplementedError

    def train(self, mode: bool = True) -> Self:
        """Set the mode; frozen stages stay in evaluation mode, with ``norm_eval`` all batch norms do."""
        super().train(mode)
        self._freeze_stages()
        if mode and self.norm_eval:
            for module in self.modules():
                if isinstance(module, _BatchNorm):
                    module.eval()
        return self


def _initialisation(init_cfg: Any, pretrained: Optional[str]) -> Any:
    if pretrained is None:
        return [dict(cfg) for cfg in INIT_CFG] if init_cfg is None else init_cfg
    if init_cfg is not None:
        raise ValueError('init_cfg and pretrained cannot be set at the same time; use init_cfg')
    warnings.warn('pretrained is deprecated, use init_cfg', DeprecationWarning, stacklevel=4)
    return dict(type='Pretrained', checkpoint=pretrained)
