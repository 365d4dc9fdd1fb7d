"""Time the forward and backward pass of block tails relative to the limit set by memory bandwidth."""

from functools import partial
from itertools import product
from typing import Any, Callable, Dict, List

import torch
from torch import Tensor

from eca_mmdet.backbones.compiled import COMPILE_OPTIONS
from eca_mmdet.fused.eca_residual import eca_residual
from eca_mmdet.layers import ECALayer

from .cases import Cases
from .measure import quartiles, ratios, time_calls

COPIES = 5
"""Number of tensor copies that move as much memory as a block tail.

The forward pass reads ``z`` for the mean, then ``z`` and the identity, and writes the output: four tensors.
The backward pass reads the output's gradient, the output, and the identity or ``z``. It writes the gradient
before the ReLU, reads it again, and writes the gradient of ``z``: six tensors. A copy moves two tensors.
"""


def benchmark_tail(cases: Cases, device: str, log: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Time a block tail in each stage of a ResNet-50.

    Args:
        cases: What to measure; ``modes`` and ``changing`` are not used.
        device: ``'cpu'`` or ``'cuda'``.
        log: Receives progress messages.

    Returns:
        One record per image size, batch, stage, dtype and implementation. ``ratio`` refers to the time of
        ``COPIES`` copies of the tensor, the lower limit set by memory bandwidth.
    """
    records = []
    for size, batch, stage, dtype in product(
        cases.sizes, cases.batches, range(1, 5), (torch.float32, torch.bfloat16)
    ):
        stride = 2 ** (stage + 1)
        shape = batch, 128 * 2**stage, -(-size[0] // stride), -(-size[1] // stride)
        name = f'stage {stage} {str(dtype).split(".")[1]}'
        log(f'{name}, {size[0]}x{size[1]}, batch {batch}')
        seconds = time_calls(_make_calls(shape, dtype, device), cases.repeats, cases.warmup, device)
        limit = [COPIES * copy_seconds for copy_seconds in seconds.pop('copy')]
        for key, values in dict(limit=limit, **seconds).items():
            record = dict(size=list(size), batch=batch, mode='tail', model=f'{key}, {name}', n=len(values))
            records.append(dict(record, seconds=quartiles(values), ratio=ratios(values, limit)))
    return records


def _make_calls(shape: tuple, dtype: torch.dtype, device: str) -> Dict[str, Callable[[], Any]]:
    layer = ECALayer(kernel_size=5).to(device)
    # The memory formats of the fused forward pass.
    memory_format = torch.channels_last if device == 'cpu' else torch.contiguous_format
    z, identity, grad_out, target = (
        torch.randn(shape, device=device).to(dtype).contiguous(memory_format=memory_format) for _ in range(4)
    )
    for leaf in (z, identity):
        leaf.requires_grad_()

    def plain(z: Tensor, identity: Tensor, layer: ECALayer) -> Tensor:
        return (z * layer.gate(z.float()).to(z.dtype) + identity).relu()

    def step(function: Callable[[Tensor, Tensor, ECALayer], Tensor]) -> None:
        z.grad = identity.grad = layer.conv.weight.grad = None
        function(z, identity, layer).backward(grad_out)

    implementations = dict(plain=plain, ours=eca_residual)
    if device != 'cpu':
        implementations['compile'] = torch.compile(plain, **COMPILE_OPTIONS)
        implementations['triton'] = partial(eca_residual, triton=True)
    calls = {name: partial(step, function) for name, function in implementations.items()}
    return dict(copy=lambda: target.copy_(grad_out), **calls)
