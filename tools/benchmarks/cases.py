"""Measure models at fixed image sizes, and at sizes that change from round to round."""

import itertools
from functools import partial
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch

from .measure import interleave, memory_records, quartiles, ratios, to_best_stock
from .workers import PrepareStep, RunRound, start_models

Size = Tuple[int, int]
MODES = ('train', 'infer', 'memory')


class Cases(NamedTuple):
    """Image sizes, batch sizes, modes and number of rounds of a benchmark.

    Attributes:
        sizes: Image heights and widths. Each is one case.
        batches: Batch sizes. Each is one case.
        changing: Largest height and width of an additional case, in which the size changes every round.
        modes: Any of ``'train'``, ``'infer'`` and ``'memory'`` (of a training step).
        repeats: Measured rounds.
        warmup: Warm-up rounds before them.
    """

    sizes: Sequence[Size] = ((320, 480),)
    batches: Sequence[int] = (2,)
    changing: Optional[Size] = None
    modes: Sequence[str] = MODES
    repeats: int = 10
    warmup: int = 2


def changing_sizes(largest: Size, count: int, seed: int = 0) -> List[Size]:
    """Draw image sizes as in detector training: varying aspect ratios, sides padded to multiples of 32.

    Args:
        largest: Height and width in any order. The shorter one limits the short sides of all sizes, the
            longer one limits the long sides.
        count: Number of sizes.
        seed: Random seed. Aspect ratios are log-uniform between 1/2 and 2.
    """
    short, long = sorted(largest)
    exponents = torch.rand(count, generator=torch.Generator().manual_seed(seed)) * 2 - 1
    sizes = []
    for ratio in (2**exponents).tolist():
        sides = 1.0, max(ratio, 1 / ratio)
        scale = min(short / sides[0], long / sides[1])
        height, width = sides if ratio > 1 else sides[::-1]
        sizes.append(tuple(max(32, -(-int(side * scale) // 32) * 32) for side in (height, width)))
    return sizes


def measure_cases(
    module: str,
    names: Sequence[str],
    prepare_steps: Callable[..., PrepareStep],
    cases: Cases,
    options: Dict[str, Any],
    log: Callable[[str], None],
) -> List[Dict[str, Any]]:
    """Measure the time, and if requested the memory, of all models in every case.

    Args:
        module: Module that measures the memory of one model when it is run.
        names: Names of the models. Ratios refer to the first.
        prepare_steps: Builds a model from its name and ``options``; must be picklable.
        cases: What to measure.
        options: Arguments of all models, including ``device``.
        log: Receives progress messages.

    Returns:
        One record per case, mode and model.
    """
    models = start_models(names, partial(prepare_steps, **options), options['device'])
    records = time_cases(models, cases, log)
    if 'memory' in cases.modes:
        records += memory_records(module, names, cases, options)
    return records


def time_cases(models: Dict[str, RunRound], cases: Cases, log: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Time all models in every case.

    Args:
        models: Functions that run one round of a model, by name. Ratios refer to the first.
        cases: What to measure.
        log: Receives progress messages.

    Returns:
        One record per case, mode and model. Records of compiled models have the number of graphs that
        torch compiled, including those of the warm-up. Records of changing sizes list the sizes.
    """
    fixed = [[size] for size in cases.sizes]
    if cases.changing:
        fixed.append(changing_sizes(cases.changing, cases.warmup + cases.repeats))
    records = []
    for sizes, batch, mode in itertools.product(fixed, cases.batches, cases.modes):
        if mode == 'memory':
            continue
        calls = {name: _SizeCycle(run_round, mode, sizes, batch) for name, run_round in models.items()}
        seconds = interleave(calls, cases.repeats, cases.warmup)
        case = dict(size=list(sizes[0]), batch=batch, mode=mode, n=cases.repeats)
        if len(sizes) > 1:
            case.update(size=list(cases.changing), sizes=[list(size) for size in sizes])
        for name, values in seconds.items():
            ratio = ratios(values, next(iter(seconds.values())))
            graphs = dict(graphs=calls[name].graphs) if 'compile' in name.split('+') else {}
            record = dict(**case, model=name, seconds=quartiles(values), ratio=ratio, **graphs)
            records.append(dict(record, **to_best_stock(name, seconds)))
        log(f'{mode} {size_text(case)} batch {batch}: done')
    return records


class _SizeCycle:
    """Run each round at the next image size, and count the graphs that torch compiles."""

    def __init__(self, run_round: RunRound, mode: str, sizes: Sequence[Size], batch: int) -> None:
        self.run_round, self.mode, self.batch = run_round, mode, batch
        self.sizes = itertools.cycle(sizes)
        self.graphs = 0

    def __call__(self) -> float:
        seconds, graphs = self.run_round(self.mode, next(self.sizes), self.batch)
        self.graphs += graphs
        return seconds


def size_text(record: Dict[str, Any]) -> str:
    """Format an image size as ``320x480``, or ``<=320x480`` for a case of changing sizes."""
    return ('<=' if 'sizes' in record else '') + 'x'.join(map(str, record['size']))
