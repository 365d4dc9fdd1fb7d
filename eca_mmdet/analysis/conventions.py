"""Conventions for counting operations, and their formulas for torch's ``FlopCounterMode``."""

from dataclasses import dataclass
from math import prod
from typing import Any, Callable, Dict

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
BOXES, MASKS = 1000, 100
"""Number of RoIs that two-stage detectors are counted with, as in mmdet's scripts since 1.x."""

_ELEMENTWISE = {
    'batch_norm': (aten._native_batch_norm_legit_no_training, aten.native_batch_norm),
    'relu': (aten.relu, aten.relu_, aten.hardtanh, aten.hardtanh_),
    'pooling': (
        aten.max_pool2d_with_indices,
        aten.avg_pool2d,
        aten._adaptive_avg_pool2d,
        aten.mean,
    ),
}


@dataclass(frozen=True)
class Convention:
    """Number of operations per element. A multiply-add of a convolution always counts as one.

    Attributes:
        note: Description of the convention for the reader of a table.
        linear: Operations per multiply-add of a linear layer.
        bias: Operations per output element of a convolution with bias.
        batch_norm: Operations per input element of a batch norm.
        relu: Operations per input element of a ReLU or ReLU6.
        pooling: Operations per input element of a pooling layer, including ECA's global pooling.
        deconv_at_output: Whether transposed convolutions are counted at output positions instead of input
            positions.
    """

    note: str
    linear: int = 1
    bias: int = 0
    batch_norm: int = 0
    relu: int = 0
    pooling: int = 0
    deconv_at_output: bool = False


CONVENTIONS = {
    'macs': Convention(
        'Multiply-adds of convolutions and linear layers. For ECA, this includes the 1D convolution but not '
        'pooling and scaling.'
    ),
    'thop2019': Convention(
        'As thop 0.0.22 (2019): multiply-adds of convolutions, two operations per multiply-add of a linear '
        'layer, four per element of a batch norm, one per element of a ReLU or pooling.',
        linear=2,
        batch_norm=4,
        relu=1,
        pooling=1,
    ),
    'mmdet1': Convention(
        'As mmdet 1.x: multiply-adds (transposed convolutions at output positions), one operation per '
        f'element of a bias, ReLU or pooling, two per element of a batch norm; '
        f'{BOXES} proposals, {MASKS} masks.',
        bias=1,
        batch_norm=2,
        relu=1,
        pooling=1,
        deconv_at_output=True,
    ),
    'timm': Convention(
        'Multiply-adds of convolutions and linear layers, two operations per element of a batch norm.',
        batch_norm=2,
    ),
}
"""Conventions of the published tables by name. ``'macs'`` is the most common one today."""


def counter_formulas(convention: Convention) -> Dict[Any, Callable]:
    """Return formulas for ``FlopCounterMode``, which counts a multiply-add as two operations."""

    def receive_tensors(formula: Any) -> Any:  # instead of shapes
        formula._get_raw = True
        return formula

    @receive_tensors
    def convolution(*args, out_val: Tensor, **kwargs) -> int:
        flops = flop_registry[aten.convolution](*args, out_val=out_val, **kwargs)
        x, _, bias, _, _, _, transposed = args[:7]
        if transposed and convention.deconv_at_output:
            flops = flops * prod(out_val.shape[2:]) // prod(x.shape[2:])
        return flops + (0 if bias is None else 2 * convention.bias * out_val.numel())

    def linear(operator: Any) -> Callable:
        @receive_tensors
        def count(*args, **kwargs) -> int:
            return convention.linear * flop_registry[operator](*args, **kwargs)

        return count

    def per_element(weight: int) -> Callable:
        return lambda x, *args, **kwargs: 2 * weight * prod(x)

    formulas = {aten.convolution: convolution, aten.addmm: linear(aten.addmm), aten.mm: linear(aten.mm)}
    for name, operators in _ELEMENTWISE.items():
        formulas.update(dict.fromkeys(operators, per_element(getattr(convention, name))))
    return formulas
