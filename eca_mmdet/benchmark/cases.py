"""What is timed: models at fixed image sizes, and at sizes that change from step to step."""

import itertools
import sys
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch

from .measure import interleave, quartiles, ratios

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


def time_cases(
    names: Sequence[str],
    call_of: Callable[[str, str, Size, int], Callable[[], Any]],
    cases: Cases,
    device: str,
    log: Callable[[str], None],
) -> List[Dict[str, Any]]:
    """Time all models in every case; ratios refer to the first.

    Args:
        names: Of the models.
        call_of: From model, mode, size and batch to one round of it.
        cases: The cases.
        device: ``'cpu'`` or ``'cuda'``.
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
        calls = {name: _InTurn([call_of(name, mode, size, batch) for size in sizes]) for name in names}
        seconds = interleave(calls, cases.repeats, cases.warmup, device)
        case = dict(size=list(sizes[0]), batch=batch, mode=mode, n=cases.repeats)
        if len(sizes) > 1:
            case.update(size=list(cases.changing), sizes=[list(size) for size in sizes])
        for name, values in seconds.items():
            ratio = ratios(values, seconds[names[0]])
            graphs = dict(graphs=calls[name].graphs) if 'compile' in name.split('+') else {}
            records.append(dict(**case, model=name, seconds=quartiles(values), ratio=ratio, **graphs))
        log(f'{mode} {size_text(case)} batch {batch}: done')
    return records


class _InTurn:
    """Makes one of the calls at a time and counts the graphs that torch compiles for them."""

    def __init__(self, calls: List[Callable[[], Any]]) -> None:
        self.turns = itertools.cycle(calls)
        self.graphs = 0

    def __call__(self) -> None:
        before = _graphs()
        next(self.turns)()
        self.graphs += _graphs() - before


def _graphs() -> int:
    dynamo = sys.modules.get('torch._dynamo')  # takes seconds to import
    return dynamo.utils.counters['stats']['unique_graphs'] if dynamo else 0


def size_text(record: Dict[str, Any]) -> str:
    """``320x480``, with ``<=`` before it where sizes change below it."""
    return ('<=' if 'sizes' in record else '') + 'x'.join(map(str, record['size']))
