r"""3x3 convolutions on a CPU by Winograd's algorithm F(4x4, 3x3) (arXiv 1509.09308, section 4).

The output is computed in tiles of 4 x 4 pixels, :math:`A^T [(G g G^T) \odot (B^T d B)] A`: input tiles and
weights are transformed, multiplied at each of 36 points, and transformed back. That takes a quarter of the
multiplications of a direct convolution. The weight gradient is computed in the same way.

The interpolation points are 0, 1, -1, 1/2, -2 and infinity. With them, the error in float32 is about twice
that of a direct convolution (``tests/layers/test_winograd.py``).
"""

import math
from functools import lru_cache
from typing import Iterator, NamedTuple, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor

POINTS = (0.0, 1.0, -1.0, 0.5, -2.0)
CHUNK_TILES = 128
"""Tiles that are transformed and multiplied at once: 4.5 MB for 256 channels, which fit in the CPU cache."""


def conv3x3(x: Tensor, weight: Tensor, bias: Optional[Tensor] = None) -> Tensor:
    """Convolve with stride 1 and padding 1; autograd is not supported.

    Args:
        x: Features ``(N, C, H, W)`` in ``channels_last``.
        weight: Weight ``(K, C, 3, 3)`` in the dtype of ``x``.
        bias: Bias ``(K,)``.

    Returns:
        ``(N, K, H, W)`` in ``channels_last``.
    """
    n, c, h, w = x.shape
    k, tiling, transforms = len(weight), _tiling(x), _transforms(x.dtype)
    bias = x.new_zeros(k) if bias is None else bias
    tiles = _input_tiles(x, tiling)
    weights = (transforms.weight @ weight.reshape(k * c, 9).t()).view(36, k, c).transpose(1, 2)
    padded_size = n, k, 4 * tiling.rows, 4 * tiling.columns
    out = torch.empty(padded_size, dtype=x.dtype, device=x.device, memory_format=torch.channels_last)
    out_tiles = _output_tiles(out, tiling)
    max_tiles = tiling.max_chunk_tiles
    inputs, points = x.new_empty(36 * max_tiles * c), x.new_empty(36 * max_tiles * c)
    products, outputs = x.new_empty(36 * max_tiles * k), x.new_empty(16 * max_tiles * k)
    for chunk in tiling.chunks():
        source, target = tiles[chunk], out_tiles[chunk]
        count = source.shape[2:5].numel()
        input_rows = _view(inputs, *source.shape).copy_(source).view(36, -1)
        torch.mm(transforms.input, input_rows, out=_view(points, 36, count * c))
        torch.bmm(_view(points, 36, count, c), weights, out=_view(products, 36, count, k))
        torch.mm(transforms.output, _view(products, 36, count * k), out=_view(outputs, 16, count * k))
        torch.add(_view(outputs, *target.shape), bias, out=target)
    if padded_size[2:] == (h, w):
        return out
    return out[:, :, :h, :w].contiguous(memory_format=torch.channels_last)


def grad_input(grad: Tensor, weight: Tensor) -> Tensor:
    """Compute the gradient of the input of ``conv3x3``.

    Args:
        grad: Gradient of the output ``(N, K, H, W)`` in ``channels_last``.
        weight: Weight ``(K, C, 3, 3)``.
    """
    return conv3x3(grad, weight.flip(2, 3).transpose(0, 1))


def grad_weight(x: Tensor, grad: Tensor) -> Tensor:
    """Compute the gradient of the weight of ``conv3x3`` ``(K, C, 3, 3)``.

    Args:
        x: Input ``(N, C, H, W)`` in ``channels_last``.
        grad: Gradient of the output ``(N, K, H, W)``.
    """
    c, k = x.shape[1], grad.shape[1]
    tiling, transforms = _tiling(x), _transforms(x.dtype)
    tiles = _input_tiles(x, tiling)
    padded = F.pad(grad, (0, 4 * tiling.columns - grad.shape[3], 0, 4 * tiling.rows - grad.shape[2]))
    grad_tiles = _output_tiles(padded.contiguous(memory_format=torch.channels_last), tiling)
    max_tiles = tiling.max_chunk_tiles
    inputs, input_points = x.new_empty(36 * max_tiles * c), x.new_empty(36 * max_tiles * c)
    grads, grad_points = x.new_empty(16 * max_tiles * k), x.new_empty(36 * max_tiles * k)
    sums = x.new_zeros(36, k, c)
    for chunk in tiling.chunks():
        x_chunk, grad_chunk = tiles[chunk], grad_tiles[chunk]
        count = x_chunk.shape[2:5].numel()
        input_rows = _view(inputs, *x_chunk.shape).copy_(x_chunk).view(36, -1)
        torch.mm(transforms.input, input_rows, out=_view(input_points, 36, count * c))
        grad_rows = _view(grads, *grad_chunk.shape).copy_(grad_chunk).view(16, -1)
        torch.mm(transforms.output.t(), grad_rows, out=_view(grad_points, 36, count * k))
        sums.baddbmm_(_view(grad_points, 36, count, k).transpose(1, 2), _view(input_points, 36, count, c))
    return (transforms.weight.t() @ sums.view(36, -1)).t().reshape(k, c, 3, 3)


def count_tiles(x: Tensor) -> int:
    """Count the tiles into which features ``(N, C, H, W)`` are divided."""
    tiling = _tiling(x)
    return tiling.images * tiling.rows * tiling.columns


class _Transforms(NamedTuple):
    """Two-dimensional transforms: Kronecker products of the one-dimensional ones with themselves."""

    input: Tensor  # (36, 36)
    weight: Tensor  # (36, 9)
    output: Tensor  # (16, 36)


@lru_cache(None)
def _transforms(dtype: torch.dtype) -> _Transforms:
    def powers(count: int) -> Tensor:
        """Return the powers of each point; for infinity, only the highest counts."""
        rows = [[point**i for i in range(count)] for point in POINTS]
        return torch.tensor([*rows, [0.0] * (count - 1) + [1.0]], dtype=torch.float64)

    transforms = powers(6).inverse().t(), powers(3), powers(4).t()
    return _Transforms(*(torch.kron(t, t).to(dtype) for t in transforms))


class _Tiling(NamedTuple):
    """How a batch is divided into tiles: the number of images, and of tiles along height and width."""

    images: int
    rows: int
    columns: int

    def chunks(self) -> Iterator[Tuple[slice, ...]]:
        """Yield indices of about ``CHUNK_TILES`` tiles: several images, or several rows of one image."""
        every, tiles_per_image = slice(None), self.rows * self.columns
        if tiles_per_image < CHUNK_TILES:
            step = CHUNK_TILES // tiles_per_image
            for image in range(0, self.images, step):
                yield every, every, slice(image, image + step)
            return
        step = max(1, CHUNK_TILES // self.columns)
        for image in range(self.images):
            for row in range(0, self.rows, step):
                yield every, every, slice(image, image + 1), slice(row, row + step)

    @property
    def max_chunk_tiles(self) -> int:
        """Number of tiles of the largest chunk."""
        return max(CHUNK_TILES, self.columns)


def _tiling(x: Tensor) -> _Tiling:
    return _Tiling(len(x), -(-x.shape[2] // 4), -(-x.shape[3] // 4))


def _input_tiles(x: Tensor, tiling: _Tiling) -> Tensor:
    """Return the overlapping tiles ``(6, 6, N, rows, columns, C)`` of the features with padding."""
    n, c, h, w = x.shape
    padded = x.new_empty(n, 4 * tiling.rows + 2, 4 * tiling.columns + 2, c)
    padded[:, 1 : h + 1, 1 : w + 1] = x.permute(0, 2, 3, 1)
    for border in (padded[:, 0], padded[:, h + 1 :], padded[:, :, 0], padded[:, :, w + 1 :]):
        border.zero_()
    image, row, column, channel = padded.stride()
    return padded.as_strided((6, 6, *tiling, c), (row, column, image, 4 * row, 4 * column, channel))


def _output_tiles(x: Tensor, tiling: _Tiling) -> Tensor:
    """View ``(N, K, 4 * rows, 4 * columns)`` as tiles ``(4, 4, N, rows, columns, K)``."""
    n, rows, columns = tiling
    return x.permute(0, 2, 3, 1).view(n, rows, 4, columns, 4, -1).permute(2, 4, 0, 1, 3, 5)


def _view(buffer: Tensor, *shape: int) -> Tensor:
    return buffer[: math.prod(shape)].view(shape)
