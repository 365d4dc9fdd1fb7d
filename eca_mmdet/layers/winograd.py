r"""3x3 convolutions on a CPU by Winograd's algorithm F(4x4, 3x3) (arXiv 1509.09308, section 4).

The output is computed in tiles of 4 x 4 pixels. Tiles and weights are transformed, multiplied for each of
36 points, and transformed back: :math:`A^T [(G g G^T) \odot (B^T d B)] A`. That takes a quarter of the
multiplications of the definition. The weight gradient is computed in the same way.

The transforms interpolate at 0, 1, -1, 1/2, -2 and infinity. With these points the error in float32 is
twice that of a direct convolution (``tests/layers/test_winograd.py``).
"""

import math
from functools import lru_cache
from typing import Iterator, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
TILES_AT_ONCE = 128
"""Tiles that are transformed before they are multiplied: 4.5 MB for 256 channels, which stay in the cache."""


def conv3x3(x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    """Convolve with stride 1 and padding 1, without autograd.

    Args:
        x: Features ``(N, C, H, W)`` in ``channels_last``.
        weight: ``(K, C, 3, 3)``, of the type of ``x``.
        bias: ``(K,)``.

    Returns:
        ``(N, K, H, W)`` in ``channels_last``.
    """
    n, c, h, w = x.shape
    k, tiling, transforms = len(weight), _tiling(x), _transforms(x.dtype)
    bias = x.new_zeros(k) if bias is None else bias
    tiles = _input_tiles(x, tiling)
    weights = (transforms.weight @ weight.reshape(k * c, 9).t()).view(36, k, c).transpose(1, 2)
    size = n, k, 4 * tiling.rows, 4 * tiling.columns
    out = torch.empty(size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    out_tiles = _output_tiles(out, tiling)
    most = tiling.largest_part
    before, points = x.new_empty(36 * most * c), x.new_empty(36 * most * c)
    products, after = x.new_empty(36 * most * k), x.new_empty(16 * most * k)
    for part in tiling.parts():
        source, target = tiles[part], out_tiles[part]
        count = source.shape[2:5].numel()
        taken = _view(before, *source.shape).copy_(source).view(36, -1)
        torch.mm(transforms.input, taken, out=_view(points, 36, count * c))
        torch.bmm(_view(points, 36, count, c), weights, out=_view(products, 36, count, k))
        torch.mm(transforms.output, _view(products, 36, count * k), out=_view(after, 16, count * k))
        torch.add(_view(after, *target.shape), bias, out=target)
    whole = size[2:] == (h, w)
    return out if whole else out[:, :, :h, :w].contiguous(memory_format=torch.channels_last)


def grad_input(grad: Tensor, weight: Tensor) -> Tensor:
    """Gradient of ``conv3x3`` for its input, from that of its output in ``channels_last``."""
    return conv3x3(grad, weight.flip(2, 3).transpose(0, 1))


def grad_weight(x: Tensor, grad: Tensor) -> Tensor:
    """Gradient of ``conv3x3`` for its weight ``(K, C, 3, 3)``, from its input and its output's gradient."""
    c, k = x.shape[1], grad.shape[1]
    tiling, transforms = _tiling(x), _transforms(x.dtype)
    tiles = _input_tiles(x, tiling)
    padded = F.pad(grad, (0, 4 * tiling.columns - grad.shape[3], 0, 4 * tiling.rows - grad.shape[2]))
    grad_tiles = _output_tiles(padded.contiguous(memory_format=torch.channels_last), tiling)
    most = tiling.largest_part
    before, points = x.new_empty(36 * most * c), x.new_empty(36 * most * c)
    grads, products = x.new_empty(16 * most * k), x.new_empty(36 * most * k)
    sums = x.new_zeros(36, k, c)
    for part in tiling.parts():
        source, target = tiles[part], grad_tiles[part]
        count = source.shape[2:5].numel()
        taken = _view(before, *source.shape).copy_(source).view(36, -1)
        torch.mm(transforms.input, taken, out=_view(points, 36, count * c))
        taken = _view(grads, *target.shape).copy_(target).view(16, -1)
        torch.mm(transforms.output.t(), taken, out=_view(products, 36, count * k))
        sums.baddbmm_(_view(products, 36, count, k).transpose(1, 2), _view(points, 36, count, c))
    return (transforms.weight.t() @ sums.view(36, -1)).t().reshape(k, c, 3, 3)


def number_of_tiles(x: Tensor) -> int:
    """How many tiles the features ``(N, C, H, W)`` are divided into."""
    tiling = _tiling(x)
    return tiling.images * tiling.rows * tiling.columns


class _Transforms(NamedTuple):
    """Kronecker products of the one-dimensional transforms with themselves."""

    input: Tensor  # (36, 36)
    weight: Tensor  # (36, 9)
    output: Tensor  # (16, 36)


@lru_cache(None)
def _transforms(dtype: torch.dtype) -> _Transforms:
    def powers(count: int) -> Tensor:
        """Powers of the points, and those of infinity: only the highest."""
        rows = [[point**i for i in range(count)] for point in POINTS]
        return torch.tensor([*rows, [0.0] * (count - 1) + [1.0]], dtype=torch.float64)

    transforms = powers(6).inverse().t(), powers(3), powers(4).t()
    return _Transforms(*(torch.kron(t, t).to(dtype) for t in transforms))


class _Tiling(NamedTuple):
    images: int
    rows: int
    columns: int

    def parts(self) -> Iterator[Tuple[slice, ...]]:
        """Indices of about ``TILES_AT_ONCE`` tiles: rows of one image, or several images."""
        every, of_image = slice(None), self.rows * self.columns
        if of_image < TILES_AT_ONCE:
            step = TILES_AT_ONCE // of_image
            yield from ((every, every, slice(i, i + step)) for i in range(0, self.images, step))
            return
        step = max(1, TILES_AT_ONCE // self.columns)
        for image in range(self.images):
            for row in range(0, self.rows, step):
                yield every, every, slice(image, image + 1), slice(row, row + step)

    @property
    def largest_part(self) -> int:
        """Number of tiles of the largest part."""
        return max(TILES_AT_ONCE, self.columns)


def _tiling(x: Tensor) -> _Tiling:
    return _Tiling(len(x), -(-x.shape[2] // 4), -(-x.shape[3] // 4))


def _input_tiles(x: Tensor, tiling: _Tiling) -> Tensor:
    """Overlapping tiles ``(6, 6, N, rows, columns, C)``, a view of the padded features."""
    n, c, h, w = x.shape
    padded = x.new_empty(n, 4 * tiling.rows + 2, 4 * tiling.columns + 2, c)
    padded[:, 1 : h + 1, 1 : w + 1] = x.permute(0, 2, 3, 1)
    for border in (padded[:, 0], padded[:, h + 1 :], padded[:, :, 0], padded[:, :, w + 1 :]):
        border.zero_()
    image, row, column, channel = padded.stride()
    return padded.as_strided((6, 6, *tiling, c), (row, column, image, 4 * row, 4 * column, channel))


def _output_tiles(x: Tensor, tiling: _Tiling) -> Tensor:
    """Tiles ``(4, 4, N, rows, columns, K)``, a view of ``(N, K, 4 * rows, 4 * columns)``."""
    n, rows, columns = tiling
    return x.permute(0, 2, 3, 1).view(n, rows, 4, columns, 4, -1).permute(2, 4, 0, 1, 3, 5)


def _view(buffer: Tensor, *shape: int) -> Tensor:
    return buffer[: math.prod(shape)].view(shape)
