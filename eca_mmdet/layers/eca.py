"""Efficient channel attention (ECA).

Paper: ECA-Net, arXiv 1910.03151. Eq. 9 (section 3.2) defines the module: a 1D convolution of size ``k``
over the channel descriptor. Eq. 12 (section 3.3) defines the adaptive size. The implementation follows both
without deviations. Parameter names are those of the released weights (``conv.weight``, ``(1, 1, k)``).
"""

import math
from typing import Optional

from mmengine.registry import MODELS
from torch import Tensor, nn

RELEASED_KERNEL_SIZES = {
    18: (3, 5, 7, 7),
    26: (5, 5, 5, 7),
    34: (3, 3, 5, 7),
    50: (3, 5, 5, 7),
    101: (3, 3, 5, 7),
    152: (3, 3, 5, 7),
    200: (5, 5, 5, 7),
    269: (5, 5, 5, 7),
}
"""Kernel size per stage of the released ImageNet weights, by ResNet depth.

Depths 26, 200 and 269 were released by timm only, with the sizes of eq. 12. timm's networks of depth 50 and
101 have these sizes too, ``(5, 5, 5, 7)``.
"""


def eca_kernel_size(channels: int, gamma: float = 2, b: float = 1) -> int:
    """Compute the adaptive kernel size, the odd integer next to ``|log2(C) / gamma + b / gamma|``.

    Args:
        channels: Number of channels ``C``, at least 1.
        gamma: Divisor of the logarithm, positive.
        b: Offset added to the logarithm.

    Returns:
        The kernel size: 3 for 64 channels, 5 for 128 to 1024, 7 for 2048.

    Raises:
        ValueError: If ``channels`` is below 1 or ``gamma`` is not positive.

    Source: arXiv 1910.03151, eq. 12. As in the authors' code, the value is rounded down and an even
    result is increased by one.
    """
    if channels < 1 or gamma <= 0:
        raise ValueError(f'channels must be >= 1 and gamma > 0, got channels={channels}, gamma={gamma}')
    size = int(abs(math.log2(channels) / gamma + b / gamma))
    return size if size % 2 else size + 1


def check_kernel_size(size: object) -> int:
    """Return ``size`` if it is a positive odd ``int``.

    Raises:
        ValueError: If it is not.
    """
    if isinstance(size, bool) or not isinstance(size, int) or size < 1 or size % 2 == 0:
        raise ValueError(f'an ECA kernel size must be a positive odd integer (1, 3, 5, ...), got {size!r}')
    return size


@MODELS.register_module()
class ECALayer(nn.Module):
    r"""Scale each channel by a gate that is computed from its neighbours.

    .. math:: y = x \cdot \sigma(\mathrm{C1D}_k(\mathrm{GAP}(x)))

    The layer is registered in mmengine's root registry. So every backbone of mmdet with a ``plugins``
    argument can use it: ``plugins=[dict(cfg=dict(type='ECALayer'), position='after_conv3')]``.

    Args:
        in_channels: Number of channels ``C``. Only needed for the adaptive size; the layer itself accepts
            inputs with any number of channels.
        kernel_size: Fixed odd size, or ``None`` for the adaptive size.
        gamma: See ``eca_kernel_size``.
        b: See ``eca_kernel_size``.

    Raises:
        ValueError: If the size is not a positive odd integer, or neither ``kernel_size`` nor
            ``in_channels`` is given.

    Source: arXiv 1910.03151, eq. 9 and eq. 12.
    """

    _abbr_ = 'eca'  # mmcv names the attribute after this; the released weights use the same name

    def __init__(
        self,
        in_channels: Optional[int] = None,
        kernel_size: Optional[int] = None,
        gamma: float = 2,
        b: float = 1,
    ) -> None:
        super().__init__()
        if kernel_size is None:
            if in_channels is None:
                raise ValueError('ECALayer needs kernel_size, or in_channels to compute the adaptive size')
            kernel_size = eca_kernel_size(in_channels, gamma, b)
        size = check_kernel_size(kernel_size)
        self.conv = nn.Conv1d(1, 1, size, padding=size // 2, bias=False)

    @property
    def kernel_size(self) -> int:
        """Number of channels from which one gate is computed."""
        return self.conv.kernel_size[0]

    def gate(self, x: Tensor) -> Tensor:
        """Compute the channel weights ``(N, C, 1, 1)`` in (0, 1) for ``x`` ``(N, C, H, W)``."""
        descriptor = x.mean((2, 3)).unsqueeze(1)  # (N, C, H, W) -> (N, 1, C)
        return self.conv(descriptor).sigmoid().transpose(1, 2).unsqueeze(-1)  # -> (N, C, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the gate to ``x`` ``(N, C, H, W)``."""
        return x * self.gate(x)
