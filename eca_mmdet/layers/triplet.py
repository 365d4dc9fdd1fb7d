"""Triplet attention: one gate for each pair of the axes channel, height and width.

Paper: arXiv 2010.03045, section 3.2, eq. 1 to 5. The paper averages three gated copies of the input. Here the
input is multiplied by the average of the gates, which is the same.
"""

from typing import Optional

from mmengine.registry import MODELS
from torch import Tensor, nn

from .spatial_gate import SpatialGate


@MODELS.register_module()
class TripletLayer(nn.Module):
    r"""Compute :math:`y = x \cdot (g_{CW} + g_{HC} + g_{HW}) / 3`; 300 parameters.

    Args:
        in_channels: Ignored; mmcv passes it to every plugin.
    """

    _abbr_ = 'triplet'

    def __init__(self, in_channels: Optional[int] = None) -> None:
        super().__init__()
        self.cw = SpatialGate(2)
        self.hc = SpatialGate(3)
        self.hw = SpatialGate(1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the gates ``(N, C, 1, W)``, ``(N, C, H, 1)``, ``(N, 1, H, W)`` to ``x`` ``(N, C, H, W)``."""
        return x * ((self.cw(x) + self.hc(x) + self.hw(x)) / 3)
