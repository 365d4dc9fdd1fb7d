"""The end of a block alone, forward and backward, against the bandwidth of the device's memory."""

from functools import partial
from itertools import product
from typing import Any, Callable, Dict, List

import torch
from torch import Tensor

from eca_mmdet.backbones.compiled import COMPILE_OPTIONS
from eca_mmdet.fused.eca_residual import eca_residual
from eca_mmdet.layers import ECALayer

from .cases import Cases
from .measure import interleave, quartiles, ratios, seconds_of

COPIES = 5
"""Copies that move as much as the end of a block must: forward it reads z for the mean, then z and the
identity, and writes the output; backward it reads the gradient, the output and the identity or z and
writes the gradient behind the ReLU, which it reads again for the gradient of z. A copy moves two."""


def benchmark_tail(cases: Cases, device: str, log: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Time the end of a block of each stage of a ResNet-50.

    Args:
        cases: Of which the image sizes, batches and rounds count.
        device: ``'cpu'`` or ``'cuda'``.
        log: Takes a line of progress.

    Returns:
        A record for each image size, batch, stage, type and way to compute it; ``ratio`` is to the time
        of ``COPIES`` copies of the tensor, the least that memory allows.
    """
    records = []
    for size, batch, stage, dtype in product(
        cases.sizes, cases.batches, range(1, 5), (torch.float32, torch.bfloat16)
    ):
        stride = 2 ** (stage + 1)
        shape = batch, 128 * 2**stage, -(-size[0] // stride), -(-size[1] // stride)
        name = f'stage {stage} {str(dtype).split(".")[1]}'
        log(f'{name}, {size[0]}x{size[1]}, batch {batch}')
        calls = {key: partial(seconds_of, call, device) for key, call in _calls(shape, dtype, device).items()}
        seconds = interleave(calls, cases.repeats, cases.warmup)
        least = [COPIES * s for s in seconds.pop('copy')]
        for way, taken in dict(limit=least, **seconds).items():
            record = dict(size=list(size), batch=batch, mode='tail', model=f'{way}, {name}', n=len(taken))
            records.append(dict(record, seconds=quartiles(taken), ratio=ratios(taken, least)))
    return records


def _calls(shape: tuple, dtype: torch.dtype, device: str) -> Dict[str, Callable[[], Any]]:
    layer = ECALayer(kernel_size=5).to(device)
    layout = torch.channels_last if device == 'cpu' else torch.contiguous_format  # as the fused pass has it
    z, identity, grad, target = (
        torch.randn(shape, device=device).to(dtype).contiguous(memory_format=layout) for _ in range(4)
    )
    for leaf in (z, identity):
        leaf.requires_grad_()

    def plain(z: Tensor, identity: Tensor, layer: ECALayer) -> Tensor:
        return (z * layer.gate(z.float()).to(z.dtype) + identity).relu()

    def step(function: Callable[[Tensor, Tensor, ECALayer], Tensor]) -> None:
        z.grad = identity.grad = layer.conv.weight.grad = None
        function(z, identity, layer).backward(grad)

    ways = dict(plain=plain, ours=eca_residual)
    if device != 'cpu':
        ways['compile'] = torch.compile(plain, **COMPILE_OPTIONS)
        ways['triton'] = partial(eca_residual, triton=True)
    calls = {name: partial(step, function) for name, function in ways.items()}
    return dict(copy=lambda: target.copy_(grad), **calls)
