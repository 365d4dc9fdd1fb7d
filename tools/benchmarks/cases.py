"""What is timed: models at fixed image sizes, and at sizes that change from step to step."""

import itertools
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch

from .measure import interleave, quartiles, ratios, to_best_stock
from .workers import RoundOf

Size = Tuple[int, int]
MODES = ('train', 'infer', 'memory')


class Cases(NamedTuple):
    """Image sizes, batches and rounds.

    Attributes:
        sizes: Heights and widths, each a case of its own.
        batches: Images in a batch, likewise.
        changing: Largest height and width of a case in which every round has another size.
        modes: Of ``'train'``, ``'infer'`` and ``'memory'`` (of a training step).
        repeats: Rounds that count.
        warmup: Rounds before them.
    """

    sizes: Sequence[Size] = ((320, 480),)
    batches: Sequence[int] = (2,)
    changing: Optional[Size] = None
    modes: Sequence[str] = MODES
    repeats: int = 10
    warmup: int = 2


def changing_sizes(largest: Size, count: int, seed: int = 0) -> List[Size]:
    """Sizes as a detector meets them: aspect ratios of photographs in one scale, padded to 32.

    Args:
        largest: Height and width, of which the short one bounds short sides and the long one long sides.
        count: How many; only few are equal.
        seed: Of the aspect ratios, drawn from 1/2 to 2 evenly on a logarithmic scale.
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


def time_cases(rounds: Dict[str, RoundOf], cases: Cases, log: Callable[[str], None]) -> List[Dict[str, Any]]:
    """Time all models in every case; ratios refer to the first.

    Args:
        rounds: Of each model, by its name.
        cases: The cases.
        log: Takes a line of progress.

    Returns:
        One record a case, mode and model; of compiled ones with the number of graphs that torch
        compiled in it, warm-up included; of changing sizes with the sizes.
    """
    fixed = [[size] for size in cases.sizes]
    if cases.changing:
        fixed.append(changing_sizes(cases.changing, cases.warmup + cases.repeats))
    records = []
    for sizes, batch, mode in itertools.product(fixed, cases.batches, cases.modes):
        if mode == 'memory':
            continue
        calls = {name: _InTurn(round_of, mode, sizes, batch) for name, round_of in rounds.items()}
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


class _InTurn:
    """Runs a round of one size after the other and counts the graphs that torch compiles for them."""

    def __init__(self, round_of: RoundOf, mode: str, sizes: Sequence[Size], batch: int) -> None:
        self.round_of, self.mode, self.batch = round_of, mode, batch
        self.sizes = itertools.cycle(sizes)
        self.graphs = 0

    def __call__(self) -> float:
        seconds, graphs = self.round_of(self.mode, next(self.sizes), self.batch)
        self.graphs += graphs
        return seconds


def size_text(record: Dict[str, Any]) -> str:
    """``320x480``, with ``<=`` before it where sizes change below it."""
    return ('<=' if 'sizes' in record else '') + 'x'.join(map(str, record['size']))
