"""Benchmark the training step and inference of backbones, and the memory of the training step.

Running this file as a module measures the memory of one backbone for ``run_in_own_process``.
"""

import copy
import json
import sys
from functools import lru_cache
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch
from torch import Tensor

from .cases import Cases, Size, measure_cases
from .equality import Values, check_equal
from .measure import second_step_peak
from .models import Contestant, build_contestant, with_baselines
from .workers import PrepareStep

CHECK_SIZE = (64, 96)
"""Image height and width for comparing values before anything is timed."""


def benchmark_backbones(
    names: Sequence[str],
    cases: Cases,
    depth: int = 50,
    frozen_stages: int = 1,
    device: str = 'cpu',
    log: Callable[[str], None] = lambda line: None,
) -> Dict[str, List[Dict[str, Any]]]:
    """Check that models of the same architecture compute the same values, then measure them.

    Args:
        names: Models, as in ``models.py``. The baselines are added.
        cases: What to measure.
        depth: Depth of all backbones.
        frozen_stages: Frozen stages of all backbones. All batch norms use frozen statistics.
        device: ``'cpu'`` or ``'cuda'``.
        log: Receives progress messages.

    Returns:
        ``checks`` and ``results``, lists of records that can be written as JSON.

    Raises:
        ValueError: If a name is unknown, or two models of the same architecture differ.
    """
    names = with_baselines(names)
    contestants = {name: build_contestant(name, depth, frozen_stages, device) for name in names}
    inputs = make_inputs(contestants['stock'], 2, CHECK_SIZE, device)
    exact = [contestant for contestant in contestants.values() if 'amp' not in contestant.options]
    rounded = [contestant for contestant in contestants.values() if 'amp' in contestant.options]
    # The first model of an architecture is the reference, so the exact ones come first.
    checks = check_equal(
        (compute_features(contestant, *inputs) for contestant in exact + rounded), 'features'
    )
    checks += check_equal((compute_gradients(contestant, *inputs) for contestant in exact), 'gradients')
    log(f'{len(checks)} comparisons of features and gradients passed')
    del contestants
    options = dict(depth=depth, frozen_stages=frozen_stages, device=device)
    return dict(checks=checks, results=measure_cases(__name__, names, prepare_steps, cases, options, log))


def prepare_steps(name: str, depth: int, frozen_stages: int, device: str) -> PrepareStep:
    """Build a backbone and return a function that prepares its steps for a mode, size and batch."""
    contestant, stock = (build_contestant(n, depth, frozen_stages, device) for n in (name, 'stock'))
    inputs = lru_cache(None)(lambda size, batch: make_inputs(stock, batch, size, device))
    return lambda mode, size, batch: _make_step(contestant, mode, *inputs(size, batch))


def compute_features(contestant: Contestant, x: Tensor, grad_features: List[Tensor]) -> Values:
    """Compute the features in inference and in a training step."""
    outs = [out for mode in ('infer', 'train') for out in _make_step(contestant, mode, x, grad_features)()]
    return Values(contestant.name, [out.detach().clone() for out in outs])


def compute_gradients(contestant: Contestant, x: Tensor, grad_features: List[Tensor]) -> Values:
    """Compute all gradients of a training step in float64.

    In lower precision, rounding decides whether a ReLU with an input close to zero is active. One
    such difference changes the gradients of its block by 1e-2, even between correct models.
    """
    contestant = contestant._replace(module=copy.deepcopy(contestant.module).double())
    _make_step(contestant, 'train', x.double(), [grad.double() for grad in grad_features])()
    return Values(contestant.name, [p.grad for p in contestant.module.parameters() if p.grad is not None])


def _make_step(
    contestant: Contestant, mode: str, x: Tensor, grad_features: List[Tensor]
) -> Callable[[], List[Tensor]]:
    """Return a function that runs one training step or inference."""
    x = contestant.to_memory_format(x)

    def step() -> List[Tensor]:
        # Switching the mode takes time, so it only happens where the mode changes.
        if contestant.module.layer4.training != (mode == 'train'):
            contestant.module.train(mode == 'train')
        return contestant.train_step(x, grad_features) if mode == 'train' else contestant.infer(x)

    return step


def make_inputs(contestant: Contestant, batch: int, size: Size, device: str) -> Tuple[Tensor, List[Tensor]]:
    """Draw images ``(batch, 3, H, W)`` and one gradient per feature map."""
    generator = torch.Generator().manual_seed(batch)
    x = torch.randn(batch, 3, *size, generator=generator).to(device)
    features = contestant.infer(x)
    return x, [torch.randn(feature.shape, generator=generator).to(device) for feature in features]


def measure_memory(
    name: str, depth: int, frozen_stages: int, size: Sequence[int], batch: int, device: str
) -> int:
    """Return the peak memory of a backbone's second training step in bytes, including the weights."""

    def build_step() -> Callable[[], List[Tensor]]:
        contestant = build_contestant(name, depth, frozen_stages, device)
        return _make_step(contestant, 'train', *make_inputs(contestant, batch, tuple(size), device))

    return second_step_peak(build_step, device)


if __name__ == '__main__':
    print(json.dumps(dict(peak=measure_memory(**json.loads(sys.argv[1])))))
