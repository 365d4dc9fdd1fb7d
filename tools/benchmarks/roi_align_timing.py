"""Time the forward and backward pass of RoIAlign relative to mmcv's operator on the same RoIs."""

from functools import partial
from itertools import product
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

import torch
from mmcv import ops
from torch import Tensor, nn

from eca_mmdet.analysis import table_text
from eca_mmdet.layers.roi_align import RoIAlign

from .measure import quartiles, ratios, time_calls

IMAGE_SIZE = 320, 480  # height and width
BATCH = 2
ROI_SIZES = 7, 28
"""Range of the RoI sizes in feature cells. FPN assigns RoIs of 14 to 28 cells to a level, and smaller ones
only to the finest level."""


class Case(NamedTuple):
    """One setting of RoIAlign.

    Attributes:
        stride: Image pixels per feature cell.
        output_size: Bins along each axis.
        sampling_ratio: Samples per bin along each axis, 0 for adaptive.
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
    """Check that all implementations compute the same values, then time them.

    Args:
        cases: Settings to time.
        rois: RoIs in a batch of two images.
        channels: Feature channels.
        repeats: Measured rounds.
        warmup: Warm-up rounds before them.
        log: Receives progress messages.

    Returns:
        One record per case, direction and implementation. ``ratio`` and ``fastest_ratio`` (of the fastest
        rounds) refer to mmcv.

    Raises:
        ValueError: If the values or gradients of an implementation differ from mmcv's.
    """
    records = []
    for case in cases:
        log(f'stride {case.stride}, {case.output_size} x {case.output_size}, ratio {case.sampling_ratio}')
        for direction, calls in _make_calls(case, rois, channels).items():
            seconds = time_calls(calls, repeats, warmup)
            for name, values in seconds.items():
                record = dict(**case._asdict(), rois=rois, channels=channels, direction=direction, model=name)
                record.update(n=repeats, seconds=quartiles(values), fastest=min(values))
                record.update(ratio=ratios(values, seconds['mmcv']))
                records.append(dict(record, fastest_ratio=min(values) / min(seconds['mmcv'])))
    return records


def _make_calls(case: Case, rois: int, channels: int) -> Dict[str, Dict[str, Callable]]:
    """Return the forward and backward pass of each implementation, after comparing them with mmcv."""
    x, boxes = draw_inputs(case.stride, rois, channels)
    x_last = x.contiguous(memory_format=torch.channels_last)
    options = case.output_size, 1 / case.stride, case.sampling_ratio
    implementations: Dict[str, Tuple[nn.Module, Tensor]] = {
        'mmcv': (ops.RoIAlign(*options), x),
        'ours': (RoIAlign(*options), x),
        'ours+channels_last': (RoIAlign(*options), x_last),
        'ours+channels_last+bf16': (RoIAlign(*options), x_last.bfloat16()),
    }
    forward, backward, expected = {}, {}, None
    for name, (layer, features) in implementations.items():
        leaf = features.detach().requires_grad_()
        out = layer(leaf, boxes)
        memory_format = torch.contiguous_format if out.is_contiguous() else torch.channels_last
        grad_out = torch.linspace(-1, 1, out.numel()).view(out.shape).to(out.dtype)
        grad_out = grad_out.contiguous(memory_format=memory_format)
        forward[name] = partial(_forward, layer, features, boxes)
        backward[name] = partial(torch.autograd.grad, out, leaf, grad_out, retain_graph=True)
        computed = out.detach().float(), backward[name]()[0].float()
        expected = computed if expected is None else expected
        _check_equal_to_mmcv(name, case, computed, expected, 0.02 if 'bf16' in name else 1e-4)
    return dict(forward=forward, backward=backward)


def _forward(layer: nn.Module, features: Tensor, boxes: Tensor) -> Tensor:
    with torch.no_grad():
        return layer(features, boxes)


def _check_equal_to_mmcv(
    name: str, case: Case, computed: Sequence[Tensor], expected: Sequence[Tensor], tolerance: float
) -> None:
    for what, a, b in zip(('values', 'gradients'), computed, expected):
        error = float((a - b).abs().max() / b.abs().max())
        if not error <= tolerance:
            raise ValueError(
                f'{name}, {case}: {what} differ from mmcv by {error:.1e} of the largest one, '
                f'at most {tolerance} is allowed'
            )


def draw_inputs(stride: int, rois: int, channels: int, seed: int = 0) -> Tuple[Tensor, Tensor]:
    """Draw features ``(2, channels, H, W)`` and RoIs ``(rois, 5)`` clipped to the image."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(BATCH, channels, *(side // stride for side in IMAGE_SIZE), generator=generator)
    low, high = (torch.tensor(float(side)).log() for side in ROI_SIZES)
    image, size, aspect, *centre = torch.rand(5, rois, generator=generator)
    size = (low + size * (high - low)).exp() * stride
    aspect = 2 ** (aspect - 0.5)
    sides = torch.stack([size * aspect, size / aspect], 1)
    limits = torch.tensor([IMAGE_SIZE[1], IMAGE_SIZE[0]])
    centre = torch.stack(centre, 1) * limits
    corners = [(centre + sign * sides / 2).clamp(min=0).minimum(limits) for sign in (-1, 1)]
    return x, torch.cat([(image * BATCH).floor()[:, None], *corners], 1)


def roi_align_text(records: Sequence[Dict[str, Any]]) -> str:
    """Format one row per case, direction and implementation."""
    header = ['model', 'pass', 'stride', 'output size', 'sampling ratio', 'fastest', 'ratio to mmcv']
    rows = []
    for r in records:
        case = [str(r[key]) for key in ('model', 'direction', *Case._fields)]
        rows.append([*case, f'{r["fastest"] * 1e3:.1f} ms', f'{r["fastest_ratio"]:.3f}'])
    return table_text(header, rows)
