"""Backbone training step and inference, timed side by side, and the training step's memory.

Run as a module, it measures the memory of one model for ``in_own_process``.
"""

import gc
import json
import sys
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from .measure import in_own_process, interleave, peak_of, quartiles, ratios, resident_bytes
from .models import Contestant, build_contestant

ARCHITECTURE = dict(naive='eca', ours='eca', nchw='eca')  # what computes the same; others by their kind
CHECKED_SIZE = (64, 96)  # on larger images single ReLUs at zero decide by rounding
TOLERANCE = dict(amp=0.05, exact=1e-3)  # norm of a tensor's error over the tensor's norm


def benchmark_backbones(
    names: Sequence[str],
    sizes: Sequence[Tuple[int, int]] = ((320, 480),),
    batches: Sequence[int] = (2,),
    modes: Sequence[str] = ('train', 'infer', 'memory'),
    depth: int = 50,
    frozen_stages: int = 1,
    repeats: int = 10,
    warmup: int = 2,
    device: str = 'cpu',
    log: Callable[[str], None] = lambda line: None,
) -> Dict[str, List[Dict[str, Any]]]:
    """Check that models of one architecture compute the same, then measure them.

    Args:
        names: Models, as in ``models.py``; ``'stock'``, which ratios refer to, is added.
        sizes: Heights and widths of the images.
        batches: Images in a batch.
        modes: Of ``'train'``, ``'infer'`` and ``'memory'`` (of a training step).
        depth: Of all backbones.
        frozen_stages: Of all backbones; norms run on frozen statistics.
        repeats: Rounds that count.
        warmup: Rounds before them.
        device: ``'cpu'`` or ``'cuda'``.
        log: Takes a line of progress.

    Returns:
        ``checks`` and ``results``, lists of plain records.

    Raises:
        ValueError: If a name is unknown, or two models of one architecture differ.
    """
    names = list(dict.fromkeys(['stock', *names]))
    rivals = {name: build_contestant(name, depth, frozen_stages, device) for name in names}
    checks = check_equal(list(rivals.values()), *_inputs(rivals['stock'], 2, CHECKED_SIZE, device))
    log(f'{len(checks)} comparisons of values and gradients passed')
    results = []
    for size in sizes:
        for batch in batches:
            x, grads = _inputs(rivals['stock'], batch, size, device)
            case = dict(size=list(size), batch=batch)
            for mode in (m for m in modes if m != 'memory'):
                calls = {name: _call(rival, mode, x, grads) for name, rival in rivals.items()}
                seconds = interleave(calls, repeats, warmup, device)
                for name, values in seconds.items():
                    ratio = ratios(values, seconds['stock'])
                    results.append(
                        dict(**case, mode=mode, model=name, seconds=quartiles(values), ratio=ratio, n=repeats)
                    )
                log(f'{mode} {size[0]}x{size[1]} batch {batch}: done')
            if 'memory' in modes:
                options = dict(depth=depth, frozen_stages=frozen_stages, device=device, **case)
                results += _memory(names, options)
                log(f'memory {size[0]}x{size[1]} batch {batch}: done')
    return dict(checks=checks, results=results)


def check_equal(rivals: List[Contestant], x: Tensor, grads: List[Tensor]) -> List[Dict[str, Any]]:
    """Compare each model with the first of its architecture, in inference and in a training step.

    Under autocast features are compared, otherwise also all gradients.

    Returns:
        One record a model: the largest relative error of its tensors.

    Raises:
        ValueError: If an error exceeds the tolerance.
    """
    first: Dict[str, Tuple[str, List[Tensor]]] = {}
    records = []
    for rival in rivals:
        tensors = [t.detach().clone() for t in _call(rival, 'infer', x, grads)()]
        tensors += [t.detach().clone() for t in _call(rival, 'train', x, grads)()]
        if 'amp' not in rival.options:  # bfloat16 turns ReLUs around: gradients differ by tenths
            tensors += [p.grad for p in rival.module.parameters() if p.grad is not None]
        name, expected = first.setdefault(ARCHITECTURE.get(rival.kind, rival.kind), (rival.name, tensors))
        if name == rival.name:
            continue
        error = max(((a.float() - b).norm() / b.norm()).item() for a, b in zip(tensors, expected))
        limit = TOLERANCE['amp' if 'amp' in rival.options else 'exact']
        if not error <= limit:
            raise ValueError(f'{rival.name} does not compute what {name} does: error {error:.1e} > {limit}')
        records.append(dict(model=rival.name, reference=name, error=error, limit=limit))
    return records


def _call(rival: Contestant, mode: str, x: Tensor, grads: List[Tensor]) -> Callable[[], List[Tensor]]:
    """One round of a model; changing the mode is not part of what is timed elsewhere, but cheap."""
    prepared = rival.prepare(x)

    def call() -> List[Tensor]:
        if rival.module.layer4.training != (mode == 'train'):
            rival.module.train(mode == 'train')
        return rival.train_step(prepared, grads) if mode == 'train' else rival.infer(prepared)

    return call


def _inputs(rival: Contestant, batch: int, size: Tuple[int, int], device: str) -> Tuple[Tensor, List[Tensor]]:
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, 3, *size, generator=generator).to(device)
    outs = rival.infer(x)
    return x, [torch.randn(out.shape, generator=generator).to(device) for out in outs]


def _memory(names: Sequence[str], options: Dict[str, Any]) -> List[Dict[str, Any]]:
    peaks = {name: in_own_process(__name__, dict(name=name, **options))['peak'] for name in names}
    case = dict(size=options['size'], batch=options['batch'], mode='memory')
    return [
        dict(**case, model=name, bytes=peak, ratio=dict(median=peak / peaks['stock']))
        for name, peak in peaks.items()
    ]


def measure_memory(
    name: str, depth: int, frozen_stages: int, size: Sequence[int], batch: int, device: str
) -> int:
    """Peak memory of a second training step, the model's weights included."""
    before = resident_bytes() if device == 'cpu' else 0
    rival = build_contestant(name, depth, frozen_stages, device)
    x, grads = _inputs(rival, batch, tuple(size), device)
    step = _call(rival, 'train', x, grads)
    step()
    gc.collect()
    return peak_of(step, device, before)


if __name__ == '__main__':
    print(json.dumps(dict(peak=measure_memory(**json.loads(sys.argv[1])))))
