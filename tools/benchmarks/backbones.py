"""Backbone training step and inference, timed side by side, and the training step's memory.

Run as a module, it measures the memory of one model for ``in_own_process``.
"""

import copy
import gc
import json
import sys
from functools import lru_cache, partial
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from .cases import Cases, Size, time_cases
from .equality import Values, check_equal
from .measure import memory_records, peak_of, resident_bytes
from .models import Contestant, build_contestant, with_baselines
from .workers import CallOf, rounds_of

CHECKED_SIZE = (64, 96)


def benchmark_backbones(
    names: Sequence[str],
    cases: Cases,
    depth: int = 50,
    frozen_stages: int = 1,
    device: str = 'cpu',
    log: Callable[[str], None] = lambda line: None,
) -> Dict[str, List[Dict[str, Any]]]:
    """Check that models of one architecture compute the same, then measure them.

    Args:
        names: Models, as in ``models.py``; the baselines are added.
        cases: What to measure.
        depth: Of all backbones.
        frozen_stages: Of all backbones; norms run on frozen statistics.
        device: ``'cpu'`` or ``'cuda'``.
        log: Takes a line of progress.

    Returns:
        ``checks`` and ``results``, lists of plain records.

    Raises:
        ValueError: If a name is unknown, or two models of one architecture differ.
    """
    names = with_baselines(names)
    rivals = {name: build_contestant(name, depth, frozen_stages, device) for name in names}
    checked = _inputs(rivals['stock'], 2, CHECKED_SIZE, device)
    exact = [rival for rival in rivals.values() if 'amp' not in rival.options]
    rounded = [rival for rival in rivals.values() if 'amp' in rival.options]  # none is the first
    checks = check_equal((features(rival, *checked) for rival in exact + rounded), 'features')
    checks += check_equal((gradients(rival, *checked) for rival in exact), 'gradients')
    log(f'{len(checks)} comparisons of values and gradients passed')
    del rivals
    options = dict(depth=depth, frozen_stages=frozen_stages, device=device)
    results = time_cases(rounds_of(names, partial(calls_of, **options), device), cases, log)
    if 'memory' in cases.modes:
        results += memory_records(__name__, names, cases, options)
    return dict(checks=checks, results=results)


def calls_of(name: str, depth: int, frozen_stages: int, device: str) -> CallOf:
    """The rounds of a model."""
    rival, stock = (build_contestant(kind, depth, frozen_stages, device) for kind in (name, 'stock'))
    inputs = lru_cache(None)(lambda size, batch: _inputs(stock, batch, size, device))
    return lambda mode, size, batch: _call(rival, mode, *inputs(size, batch))


def features(rival: Contestant, x: Tensor, grads: List[Tensor]) -> Values:
    """Features in inference and in a training step."""
    outs = [out for mode in ('infer', 'train') for out in _call(rival, mode, x, grads)()]
    return Values(rival.name, [out.detach().clone() for out in outs])


def gradients(rival: Contestant, x: Tensor, grads: List[Tensor]) -> Values:
    """All gradients of a training step in float64.

    In lower precision a ReLU whose input is next to zero decides by rounding, and one that
    differs is an error of 1e-2 in the gradients of its block, between any two models.
    """
    rival = rival._replace(module=copy.deepcopy(rival.module).double())
    _call(rival, 'train', x.double(), [grad.double() for grad in grads])()
    return Values(rival.name, [p.grad for p in rival.module.parameters() if p.grad is not None])


def _call(rival: Contestant, mode: str, x: Tensor, grads: List[Tensor]) -> Callable[[], List[Tensor]]:
    """One round of a model; changing the mode is not part of what is timed elsewhere, but cheap."""
    prepared = rival.prepare(x)

    def call() -> List[Tensor]:
        if rival.module.layer4.training != (mode == 'train'):
            rival.module.train(mode == 'train')
        return rival.train_step(prepared, grads) if mode == 'train' else rival.infer(prepared)

    return call


def _inputs(rival: Contestant, batch: int, size: Size, device: str) -> Tuple[Tensor, List[Tensor]]:
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, 3, *size, generator=generator).to(device)
    outs = rival.infer(x)
    return x, [torch.randn(out.shape, generator=generator).to(device) for out in outs]


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
