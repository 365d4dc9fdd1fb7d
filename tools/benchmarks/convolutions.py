"""Time single 3x3 convolutions relative to torch's convolution in contiguous memory format."""

from functools import partial
from typing import Any, Callable, Dict, List

import torch
from torch import Tensor, nn

from eca_mmdet.layers.fast_conv import FastConv2d

from .cases import Cases
from .equality import Values, check_equal
from .measure import quartiles, ratios, time_calls

LAYERS = ((64, 4), (128, 8), (256, 16), (512, 32), (256, 4), (256, 8))
"""Channels and stride of the 3x3 convolutions in a ResNet's stages and in the finest levels of an FPN."""

MASK_HEAD_INPUT = (58, 256, 14, 14)
"""RoIs, channels, height and width of the input of a convolution in a mask head."""


def benchmark_convolutions(cases: Cases, log: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Time the convolutions of ``LAYERS`` and of a mask head.

    Args:
        cases: What to measure; ``modes`` and ``changing`` are not used.
        log: Receives progress messages.

    Returns:
        One record per image size, batch, convolution, direction and implementation.

    Raises:
        ValueError: If the implementations compute different values.
    """
    records = []
    for (height, width), batch in ((size, batch) for size in cases.sizes for batch in cases.batches):
        shapes = [(batch, c, height // stride, width // stride) for c, stride in LAYERS]
        for shape in (*shapes, MASK_HEAD_INPUT):
            shape_text = 'x'.join(map(str, shape))
            log(shape_text)
            calls_by_direction = _make_calls(shape)
            steps = calls_by_direction['forward and backward'].items()
            check_equal(Values(f'stock+{name}', step()) for name, step in steps)
            for direction, calls in calls_by_direction.items():
                seconds = time_calls(calls, cases.repeats, cases.warmup)
                for name, values in seconds.items():
                    record = dict(size=[height, width], batch=batch, mode=direction)
                    record.update(model=f'{name}, {shape_text}', n=len(values), seconds=quartiles(values))
                    records.append(dict(record, ratio=ratios(values, seconds['stock'])))
    return records


def _make_calls(shape: tuple) -> Dict[str, Dict[str, Callable[[], Any]]]:
    """Return the calls to time by direction and implementation, all on equal weights and inputs."""
    channels = shape[1]
    plain, fast = nn.Conv2d(channels, channels, 3, padding=1), FastConv2d(channels, channels, 3, padding=1)
    fast.load_state_dict(plain.state_dict())
    x, grad_out = torch.randn(shape), torch.randn(shape)
    x_last, grad_last = (tensor.contiguous(memory_format=torch.channels_last) for tensor in (x, grad_out))
    implementations = {
        'stock': (plain, x, grad_out),
        'stock+channels_last': (plain, x_last, grad_last),
        'ours': (fast, x_last, grad_last),
    }
    return {
        'forward': {name: partial(_forward, conv, x) for name, (conv, x, _) in implementations.items()},
        'forward and backward': {name: partial(_step, *args) for name, args in implementations.items()},
    }


@torch.no_grad()
def _forward(conv: nn.Module, x: Tensor) -> Tensor:
    return conv(x)


def _step(conv: nn.Module, x: Tensor, grad_out: Tensor) -> List[Tensor]:
    x = x.detach().requires_grad_()
    out = conv(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *conv.parameters()], grad_out)]
