"""The classifier of MobileNetV2: dropout before the linear layer."""

from typing import Any, Tuple

from mmpretrain.models.heads import LinearClsHead
from mmpretrain.registry import MODELS
from torch import Tensor, nn


@MODELS.register_module()
class DropoutLinearClsHead(LinearClsHead):
    """MMPretrain's ``LinearClsHead`` with dropout, and the same names in the state_dict.

    Args:
        dropout: Probability that a feature is set to zero in training.
        **kwargs: Arguments of ``LinearClsHead``.
    """

    def __init__(self, dropout: float = 0.2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dropout = nn.Dropout(dropout)

    def pre_logits(self, feats: Tuple[Tensor, ...]) -> Tensor:
        """Return the features ``(N, C)`` that the linear layer reads."""
        return self.dropout(super().pre_logits(feats))
