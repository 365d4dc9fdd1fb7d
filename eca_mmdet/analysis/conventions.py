"""What the published tables count as an operation, and torch's counter told to do so."""

from dataclasses import dataclass
from math import prod
from typing import Any, Callable, Dict

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

aten = torch.ops.aten
BOXES, MASKS = 1000, 100
"""Regions that a two-stage detector is counted with: those of mmdet's counting scripts since 1.x."""

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
    """What is counted: one for a multiply-add of a convolution, and these.

    Attributes:
        note: The convention in a sentence, for the reader of a table.
        linear: For a multiply-add of a linear layer.
        bias: For an output element of a convolution with bias.
        batch_norm: For an input element of a batch norm.
        relu: For an input element of a ReLU or ReLU6.
        pooling: For an input element of a pooling, ECA's global one included.
        deconv_at_output: Count a transposed convolution at its output positions instead of its
            input positions.
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
        'Multiply-adds of convolutions and linear layers; of ECA its 1D convolutions, without pooling and '
        'scaling.'
    ),
    'thop2019': Convention(
        'As thop 0.0.22 (2019): multiply-adds of convolutions, two for one of a linear layer, four an '
        'element of batch norm, one an element of ReLU and pooling.',
        linear=2,
        batch_norm=4,
        relu=1,
        pooling=1,
    ),
    'mmdet1': Convention(
        'As mmdet 1.x: multiply-adds (a transposed convolution at its output positions), one an element '
        f'of bias, ReLU and pooling, two of batch norm; {BOXES} proposals, {MASKS} masks.',
        bias=1,
        batch_norm=2,
        relu=1,
        pooling=1,
        deconv_at_output=True,
    ),
    'timm': Convention(
        'Multiply-adds of convolutions and linear layers, two an element of batch norm.', batch_norm=2
    ),
}
"""The conventions behind the published tables, by name; ``'macs'`` is today's usual one."""


def counter_formulas(convention: Convention) -> Dict[Any, Callable]:
    """Formulas of a convention for ``FlopCounterMode``; as its own, they count two for a multiply-add."""

    def convolution(*args, out_val: Tensor, **kwargs) -> int:
        flops = flop_registry[aten.convolution](*args, out_val=out_val, **kwargs)
        x, _, bias, _, _, _, transposed = args[:7]
        if transposed and convention.deconv_at_output:
            flops = flops * prod(out_val.shape[2:]) // prod(x.shape[2:])
        return flops + (0 if bias is None else 2 * convention.bias * out_val.numel())

    def linear(operator: Any) -> Callable:
        def count(*args, **kwargs) -> int:
            return convention.linear * flop_registry[operator](*args, **kwargs)

        count._get_raw = True
        return count

    def per_element(weight: int) -> Callable:
        return lambda x, *args, **kwargs: 2 * weight * prod(x)

    convolution._get_raw = True  # tensors, as the registered formulas take them
    formulas = {aten.convolution: convolution, aten.addmm: linear(aten.addmm), aten.mm: linear(aten.mm)}
    for kind, operators in _ELEMENTWISE.items():
        formulas.update(dict.fromkeys(operators, per_element(getattr(convention, kind))))
    return formulas
