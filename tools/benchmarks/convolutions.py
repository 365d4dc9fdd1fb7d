"""3x3 convolutions alone, forward and backward, as ratios to torch's in contiguous memory format."""

from functools import partial
from typing import Any, Callable, Dict, List

import torch
from torch import Tensor, nn

from eca_mmdet.layers.fast_conv import FastConv2d

from .cases import Cases
from .equality import Values, check_equal
from .measure import interleave, quartiles, ratios, seconds_of

LAYERS = ((64, 4), (128, 8), (256, 16), (512, 32), (256, 4), (256, 8))
"""Channels and stride: the 3x3 convolutions of a ResNet's stages and of a pyramid's finest levels."""

ROIS = (256, 14, 58)
"""Channels, side and number of RoIs: a convolution of a mask head."""


def benchmark_convolutions(cases: Cases, log: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Time one convolution of each kind.

    Args:
        cases: Of which the image sizes, batches and rounds count.
        log: Takes a line of progress.

    Returns:
        A record for each image size, batch, convolution, direction and way to compute it.

    Raises:
        ValueError: If the ways compute different values.
    """
    records = []
    for (height, width), batch in ((size, batch) for size in cases.sizes for batch in cases.batches):
        shapes = [(batch, c, height // stride, width // stride) for c, stride in LAYERS]
        for shape in (*shapes, (ROIS[2], ROIS[0], ROIS[1], ROIS[1])):
            name = 'x'.join(map(str, shape))
            log(name)
            ways = _ways(shape)
            steps = ways['forward and backward'].items()
            check_equal(Values(f'stock+{way}', step()) for way, step in steps)
            for mode, calls in ways.items():
                timed = {way: partial(seconds_of, call) for way, call in calls.items()}
                seconds = interleave(timed, cases.repeats, cases.warmup)
                for way, taken in seconds.items():
                    record = dict(size=[height, width], batch=batch, mode=mode, model=f'{way}, {name}')
                    ratio = ratios(taken, seconds['stock'])
                    records.append(dict(record, n=len(taken), seconds=quartiles(taken), ratio=ratio))
    return records


def _ways(shape: tuple) -> Dict[str, Dict[str, Callable[[], Any]]]:
    """The calls to time, by direction and by way: equal weights and values, in two memory formats."""
    channels = shape[1]
    plain, fast = nn.Conv2d(channels, channels, 3, padding=1), FastConv2d(channels, channels, 3, padding=1)
    fast.load_state_dict(plain.state_dict())
    x, grad = torch.randn(shape), torch.randn(shape)
    rows, grad_rows = (t.contiguous(memory_format=torch.channels_last) for t in (x, grad))
    cases = {
        'stock': (plain, x, grad),
        'stock+channels_last': (plain, rows, grad_rows),
        'ours': (fast, rows, grad_rows),
    }
    return {
        'forward': {way: partial(_forward, conv, x) for way, (conv, x, _) in cases.items()},
        'forward and backward': {way: partial(_step, *case) for way, case in cases.items()},
    }


@torch.no_grad()
def _forward(conv: nn.Module, x: Tensor) -> Tensor:
    return conv(x)


def _step(conv: nn.Module, x: Tensor, grad: Tensor) -> List[Tensor]:
    x = x.detach().requires_grad_()
    out = conv(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *conv.parameters()], grad)]
