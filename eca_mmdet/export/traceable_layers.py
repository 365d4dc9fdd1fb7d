"""Layers for a traced model in place of layers whose sizes a trace would fix."""

from copy import deepcopy
from typing import Any, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def with_traceable_layers(model: nn.Module) -> nn.Module:
    """Return a copy of a model in which a trace is valid for every input size.

    Adaptive average poolings are replaced, of which torch's exporter supports only those to one pixel and of
    multiples of the output size. So are the ``Upsample`` layers of mmseg, which compute with Python numbers.
    """
    model = deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size not in (1, (1, 1)):
                setattr(parent, name, MatrixPool(child.output_size))
            elif _is_upsample_by_factor(child):
                setattr(parent, name, _Upsample(child))
    return model


def _is_upsample_by_factor(layer: Any) -> bool:
    if type(layer).__name__ != 'Upsample' or not type(layer).__module__.startswith('mmseg.'):
        return False
    return not layer.size and isinstance(layer.scale_factor, float)


class _Upsample(nn.Module):
    """``Upsample`` of mmseg with a size that depends on the input."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.factor, self.mode, self.align_corners = layer.scale_factor, layer.mode, layer.align_corners

    def forward(self, x: Tensor) -> Tensor:
        """Resize ``(N, C, H, W)``."""
        factor = int(self.factor) if self.factor.is_integer() else self.factor
        size = [side * factor for side in x.shape[-2:]]
        size = [side.long() if isinstance(side, Tensor) else int(side) for side in size]
        return F.interpolate(x, size, mode=self.mode, align_corners=self.align_corners)


class MatrixPool(nn.Module):
    """Adaptive average pooling as matrix products, with the regions of ``nn.AdaptiveAvgPool2d``.

    Args:
        output_size: Height and width of the output.
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        height, width = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.output_size: Tuple[int, int] = height, width

    def forward(self, x: Tensor) -> Tensor:
        """Pool ``(N, C, H, W)`` to ``(N, C, *output_size)``."""
        rows, columns = (_regions(count, side) for count, side in zip(self.output_size, x.shape[2:]))
        return rows.to(x) @ x @ columns.to(x).T


def _regions(count: int, side: Any) -> Tensor:
    """Return the weight of each of ``side`` pixels in each of ``count`` means: ``(count, side)``."""
    numbers, pixels = torch.arange(count)[:, None], torch.arange(side)
    starts = torch.div(numbers * side, count, rounding_mode='trunc')
    ends = torch.div((numbers + 1) * side + count - 1, count, rounding_mode='trunc')
    is_inside = (pixels >= starts) & (pixels < ends)
    return is_inside.float() / (ends - starts).float()
