"""ECA with separate weights for each channel (ECA-NS, "not shared").

Paper: ECA-Net, arXiv 1910.03151, section 3.2, eq. 7. Unlike in ECA (eq. 9), each channel has its own ``k``
weights. The implementation follows the paper without deviations; the weights have the shape ``(C, 1, k)`` of
the authors' code.
"""

from typing import Optional

import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import Tensor, nn

from .eca import check_kernel_size, eca_kernel_size


@MODELS.register_module()
class ECANSLayer(nn.Module):
    r"""Scale channel ``i`` by a gate that is computed from its ``k`` neighbours; ``k C`` parameters.

    .. math:: y_i = x_i \cdot \sigma(\sum_{j=1}^k w_i^j \, \mathrm{GAP}(x)_i^j)

    Args:
        in_channels: Number of channels ``C``.
        kernel_size: Odd size ``k``, or ``None`` for the adaptive size of ECA (eq. 12).

    Raises:
        ValueError: If the size is not a positive odd integer.
    """

    _abbr_ = 'eca_ns'

    def __init__(self, in_channels: int, kernel_size: Optional[int] = None) -> None:
        super().__init__()
        size = check_kernel_size(eca_kernel_size(in_channels) if kernel_size is None else kernel_size)
        self.conv = nn.Conv1d(in_channels, in_channels, size, groups=in_channels, bias=False)

    def gate(self, x: Tensor) -> Tensor:
        """Compute the channel weights ``(N, C, 1, 1)`` in (0, 1) for ``x`` ``(N, C, H, W)``."""
        size = self.conv.kernel_size[0]
        neighbours = F.pad(x.mean((2, 3)), (size // 2, size // 2)).unfold(1, size, 1)  # -> (N, C, k)
        return self.conv(neighbours).sigmoid().unsqueeze(-1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the gate to ``x`` ``(N, C, H, W)``."""
        return x * self.gate(x)
