"""Squeeze-and-excitation (SE) and its variants without dimensionality reduction.

Papers: SE, arXiv 1709.01507, eq. 2 to 4; its variants, ECA-Net, arXiv 1910.03151, section 3.1, eq. 2 to 5
and table 2. All compute ``y = x * sigmoid(F(GAP(x)))``. They differ in the map ``F`` of the channel
descriptor: the identity, a diagonal matrix, a block-diagonal matrix, a full matrix, or two matrices with a
ReLU between them.

By default ``F`` has no biases, as in the parameter counts of the ECA-Net paper (``2 C^2 / r``; 28,071,976 for
SENet-50). The released weights of SE have biases; use ``bias=True`` for these. In mmdet's ``SELayer`` the
biases cannot be turned off.
"""

from typing import Optional

from mmengine.registry import MODELS
from torch import Tensor, nn


class ChannelAttention(nn.Module):
    """Scale each channel by a gate that is a function of the channel descriptor."""

    def excite(self, y: Tensor) -> Tensor:
        """Apply the map ``F`` to the descriptor ``(N, C, 1, 1)``; the identity unless overridden."""
        return y

    def gate(self, x: Tensor) -> Tensor:
        """Compute the channel weights ``(N, C, 1, 1)`` in (0, 1) for ``x`` ``(N, C, H, W)``."""
        return self.excite(x.mean((2, 3), keepdim=True)).sigmoid()

    def forward(self, x: Tensor) -> Tensor:
        """Apply the gate to ``x`` ``(N, C, H, W)``."""
        return x * self.gate(x)


@MODELS.register_module()
class SELayer(ChannelAttention):
    r"""SE block: :math:`F(y) = W_2\,\mathrm{ReLU}(W_1 y)`, with ``2 C^2 / r`` parameters.

    Parameter names and shapes are those of timm's SE-ResNets (``se.fc1.weight``, ``se.fc2.weight``).

    Args:
        in_channels: Number of channels ``C``.
        ratio: Reduction ratio ``r``.
        bias: Whether both maps have biases, which adds ``C + C / r`` parameters.

    Raises:
        ValueError: If there are fewer channels than ``ratio``.
    """

    _abbr_ = 'se'

    def __init__(self, in_channels: int, ratio: int = 16, bias: bool = False) -> None:
        super().__init__()
        if not 1 <= ratio <= in_channels:
            raise ValueError(f'ratio must be from 1 to the number of channels {in_channels}, got {ratio}')
        self.fc1 = nn.Conv2d(in_channels, in_channels // ratio, 1, bias=bias)
        self.fc2 = nn.Conv2d(in_channels // ratio, in_channels, 1, bias=bias)

    def excite(self, y: Tensor) -> Tensor:
        """Apply both maps to the descriptor ``(N, C, 1, 1)``."""
        return self.fc2(self.fc1(y).relu())


@MODELS.register_module()
class SEVar1Layer(ChannelAttention):
    r"""SE-Var1: :math:`F(y) = y`, without parameters.

    Args:
        in_channels: Ignored; mmcv passes it to every plugin.
    """

    _abbr_ = 'se_var1'

    def __init__(self, in_channels: Optional[int] = None) -> None:
        super().__init__()


@MODELS.register_module()
class SEGCLayer(ChannelAttention):
    r"""SE-GC: :math:`F(y) = \mathrm{GC}_G(y)`, a matrix of ``G`` diagonal blocks with ``C^2 / G`` parameters.

    Args:
        in_channels: Number of channels ``C``.
        groups: Number of blocks ``G``.

    Raises:
        ValueError: If ``groups`` does not divide ``in_channels``.
    """

    _abbr_ = 'se_gc'

    def __init__(self, in_channels: int, groups: int) -> None:
        super().__init__()
        if groups < 1 or in_channels % groups:
            raise ValueError(f'groups must divide the number of channels {in_channels}, got {groups}')
        self.conv = nn.Conv2d(in_channels, in_channels, 1, groups=groups, bias=False)

    def excite(self, y: Tensor) -> Tensor:
        """Apply the map to each group of channels of the descriptor ``(N, C, 1, 1)``."""
        return self.conv(y)


@MODELS.register_module()
class SEVar2Layer(SEGCLayer):
    r"""SE-Var2: :math:`F(y) = w \odot y`, with one weight per channel.

    Args:
        in_channels: Number of channels ``C``.
    """

    _abbr_ = 'se_var2'

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, groups=in_channels)


@MODELS.register_module()
class SEVar3Layer(SEGCLayer):
    r"""SE-Var3: :math:`F(y) = W y`, a full matrix with ``C^2`` parameters.

    Args:
        in_channels: Number of channels ``C``.
    """

    _abbr_ = 'se_var3'

    def __init__(self, in_channels: int) -> None:
        super().__init__(in_channels, groups=1)
