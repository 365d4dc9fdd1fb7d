"""RoIAlign alone, forward and backward, as ratios to mmcv's operator on the same RoIs."""

from functools import partial
from itertools import product
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import torch
from mmcv import ops
from torch import Tensor, nn

from eca_mmdet.layers.roi_align import RoIAlign

from .measure import interleave, quartiles, ratios, seconds_of

IMAGE = 320, 480  # height and width
BATCH = 2
SMALLEST_SIDE = (
    7,
    28,
)  # cells; FPN reads RoIs of 14 to 28 cells from a level, and smaller ones from its finest


class Case(NamedTuple):
    """One setting of RoIAlign.

    Attributes:
        stride: Pixels of the image per cell.
        output_size: Bins along each axis.
        sampling_ratio: Samples of a bin along each axis, 0 for adaptive.
    """

    stride: int
    output_size: int
    sampling_ratio: int


CASES = tuple(Case(*case) for case in product((4, 8), (7, 14), (0, 2)))


def benchmark_roi_align(
    cases: Sequence[Case] = CASES,
    rois: int = 512,
    channels: int = 256,
    repeats: int = 5,
    warmup: int = 1,
    log: Callable[[str], None] = lambda line: None,
) -> List[Dict[str, Any]]:
    """Check that all contestants compute the same, then time them in turn.

    Args:
        cases: What to time.
        rois: RoIs of a batch of two images.
        channels: Of the features.
        repeats: Rounds that count.
        warmup: Rounds before them.
        log: Takes a line of progress.

    Returns:
        A record for each case, direction and contestant; ``ratio`` and ``fastest_ratio`` (of the fastest
        rounds) are to mmcv's seconds.

    Raises:
        ValueError: If a contestant's values or gradients differ from mmcv's.
    """
    records = []
    for case in cases:
        log(f'stride {case.stride}, {case.output_size} x {case.output_size}, ratio {case.sampling_ratio}')
        forward, backward = _calls(case, rois, channels)
        for direction, calls in (('forward', forward), ('backward', backward)):
            timed = {name: partial(seconds_of, call) for name, call in calls.items()}
            seconds = interleave(timed, repeats, warmup)
            for name, taken in seconds.items():
                record = dict(**case._asdict(), rois=rois, channels=channels, direction=direction, model=name)
                record.update(n=repeats, seconds=quartiles(taken), fastest=min(taken))
                record.update(ratio=ratios(taken, seconds['mmcv']))
                records.append(dict(record, fastest_ratio=min(taken) / min(seconds['mmcv'])))
    return records


def _calls(case: Case, rois: int, channels: int) -> Tuple[Dict[str, Callable], Dict[str, Callable]]:
    """Forward and backward passes of each contestant."""
    x, boxes = draw(case.stride, rois, channels)
    last = x.contiguous(memory_format=torch.channels_last)
    options = case.output_size, 1 / case.stride, case.sampling_ratio
    contestants: Dict[str, Tuple[nn.Module, Tensor]] = {
        'mmcv': (ops.RoIAlign(*options), x),
        'ours': (RoIAlign(*options), x),
        'ours+channels_last': (RoIAlign(*options), last),
        'ours+channels_last+bf16': (RoIAlign(*options), last.bfloat16()),
    }
    forward, backward, expected = {}, {}, None
    for name, (layer, features) in contestants.items():
        leaf = features.detach().requires_grad_()
        out = layer(leaf, boxes)
        layout = torch.contiguous_format if out.is_contiguous() else torch.channels_last
        grad = torch.linspace(-1, 1, out.numel()).view(out.shape).to(out.dtype)
        forward[name] = partial(_forward, layer, features, boxes)
        back = partial(
            torch.autograd.grad, out, leaf, grad.contiguous(memory_format=layout), retain_graph=True
        )
        backward[name], found = back, (out.detach().float(), back()[0].float())
        expected = found if expected is None else expected
        _check(name, case, found, expected, 0.02 if 'bf16' in name else 1e-4)
    return forward, backward


def _forward(layer: nn.Module, features: Tensor, boxes: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(features, boxes)


def _check(name: str, case: Case, found: Sequence[Tensor], expected: Sequence[Tensor], bound: float) -> None:
    for kind, a, b in zip(('values', 'gradients'), found, expected):
        error = float((a - b).abs().max() / b.abs().max())
        if not error <= bound:
            raise ValueError(f'{name}, {case}: {kind} differ from mmcv by {error:.1e} of their largest')


def draw(stride: int, rois: int, channels: int, seed: int = 0) -> Tuple[Tensor, Tensor]:
    """Features ``(2, channels, H, W)`` and RoIs ``(rois, 5)`` clipped to the image, always the same."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, channels, *(side // stride for side in IMAGE), generator=generator)
    low, high = (torch.tensor(float(side)).log() for side in SMALLEST_SIDE)
    image, size, aspect, *centre = torch.rand(5, rois, generator=generator)
    size = (low + size * (high - low)).exp() * stride
    aspect = 2 ** (aspect - 0.5)
    sides = torch.stack([size * aspect, size / aspect], 1)
    limits = torch.tensor([IMAGE[1], IMAGE[0]])
    centre = torch.stack(centre, 1) * limits
    corners = [(centre + sign * sides / 2).clamp(min=0).minimum(limits) for sign in (-1, 1)]
    return x, torch.cat([(image * BATCH).floor()[:, None], *corners], 1)


def roi_align_text(records: Sequence[Dict[str, Any]]) -> str:
    """One line a case, direction and contestant."""
    lines = [f'{"stride":>6}{"size":>6}{"ratio":>6}  {"pass":9}{"model":26}{"of mmcv":>8}{"fastest":>12}']
    for r in records:
        lines.append(
            f'{r["stride"]:>6}{r["output_size"]:>6}{r["sampling_ratio"]:>6}  {r["direction"]:9}'
            f'{r["model"]:26}{r["fastest_ratio"]:>8.3f}{r["fastest"] * 1e3:>9.1f} ms'
        )
    return '\n'.join(lines)
