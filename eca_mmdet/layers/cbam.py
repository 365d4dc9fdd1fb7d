"""Convolutional block attention module (CBAM).

Paper: arXiv 1807.06521, eq. 1 to 3: a channel gate, then a spatial gate. By default the channel gate has
no biases. ResNet-50 then has 28,073,576 parameters, which are the 26.77 M (in units of 2^20) of the ECA-Net
paper. CBAM's own code has biases (28,089,624 parameters, 26.79 M); use ``bias=True`` for these.
"""

from mmengine.registry import MODELS
from torch import Tensor

from .se import SELayer
from .spatial_gate import SpatialGate


@MODELS.register_module()
class CBAMLayer(SELayer):
    r"""Scale channels, then positions.

    .. math:: x' = x \cdot \sigma(F(\mathrm{GAP}(x)) + F(\mathrm{GMP}(x))), \quad
        y = x' \cdot \sigma(\mathrm{BN}(\mathrm{conv}_{7 \times 7}([\max_c x'; \mathrm{mean}_c x'])))

    where ``F`` is the map of SE, with the same weights for the average and the maximum.

    Args:
        in_channels: Number of channels ``C``.
        ratio: Reduction ratio of ``F``.
        bias: Whether ``F`` has biases.

    Raises:
        ValueError: If there are fewer channels than ``ratio``.
    """

    _abbr_ = 'cbam'

    def __init__(self, in_channels: int, ratio: int = 16, bias: bool = False) -> None:
        super().__init__(in_channels, ratio, bias)
        self.spatial = SpatialGate()

    def gate(self, x: Tensor) -> Tensor:
        """Compute the channel weights ``(N, C, 1, 1)`` in (0, 1) for ``x`` ``(N, C, H, W)``."""
        average, maximum = x.mean((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return (self.excite(average) + self.excite(maximum)).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Apply both gates to ``x`` ``(N, C, H, W)``."""
        x = super().forward(x)
        return x * self.spatial(x)
