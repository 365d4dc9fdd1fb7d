"""Gate of CBAM and triplet attention: pool along one axis, convolve along the other two.

Papers: CBAM, arXiv 1807.06521, eq. 3; triplet attention, arXiv 2010.03045, eq. 1 ("Z-pool"). The batch norm
after the convolution and its momentum of 0.01 follow the code of both papers.
"""

import torch
from torch import Tensor, nn


class SpatialGate(nn.Module):
    r"""Compute :math:`\sigma(\mathrm{BN}(\mathrm{conv}_{7 \times 7}([\max; \mathrm{mean}])))` over one axis.

    Args:
        dim: The axis of ``(N, C, H, W)`` to pool along: 1, 2 or 3.
    """

    def __init__(self, dim: int = 1) -> None:
        super().__init__()
        self.dim = dim
        self.conv = nn.Conv2d(2, 1, 7, padding=3, bias=False)
        self.bn = nn.BatchNorm2d(1, momentum=0.01)

    def forward(self, x: Tensor) -> Tensor:
        """Compute weights in (0, 1) in the shape of ``x`` ``(N, C, H, W)``, with size 1 at ``dim``."""
        x = x.transpose(1, self.dim)
        pooled = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], 1)
        return self.bn(self.conv(pooled)).sigmoid().transpose(1, self.dim)
