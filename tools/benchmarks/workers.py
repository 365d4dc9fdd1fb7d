"""Rounds of the models: on a CPU each model in a process of its own, as users run it.

In one process the models would share what the allocator keeps, and the time of each, by up to a
quarter, would depend on which ran before it.
"""

import multiprocessing
import sys
from functools import partial
from typing import Any, Callable, Dict, NamedTuple, Sequence, Tuple

import torch

from .measure import seconds_of

CallOf = Callable[[str, Tuple[int, int], int], Callable[[], Any]]
"""From mode, size and batch to one round of a model."""


class Round(NamedTuple):
    """What one round of a model took."""

    seconds: float
    graphs: int  # that torch compiled in it


RoundOf = Callable[[str, Tuple[int, int], int], Round]


def rounds_of(names: Sequence[str], build: Callable[..., CallOf], device: str) -> Dict[str, RoundOf]:
    """A function for each model that runs one round of it and times it.

    Args:
        names: Of the models.
        build: Makes a model's rounds from its name; can be pickled.
        device: ``'cpu'``, or ``'cuda'``, where all models share one process and its memory.

    Raises:
        RuntimeError: If a model's process fails; here or from the functions.
    """
    if device != 'cpu':
        return {name: partial(_timed, build(name), device) for name in names}
    workers = {name: _Worker(name, build) for name in names}
    for worker in workers.values():
        worker.receive()  # it is ready
    return workers


def _timed(call_of: CallOf, device: str, *case: Any) -> Round:
    call, before = call_of(*case), _graphs()
    return Round(seconds_of(call, device), _graphs() - before)


def _graphs() -> int:
    dynamo = sys.modules.get('torch._dynamo')  # takes seconds to import
    return dynamo.utils.counters['stats']['unique_graphs'] if dynamo else 0


class _Worker:
    """A process that holds one model; ends with this one."""

    def __init__(self, name: str, build: Callable[..., CallOf]) -> None:
        context = multiprocessing.get_context('spawn')
        self.name = name
        self.pipe, theirs = context.Pipe()
        arguments = theirs, partial(build, name), torch.get_num_threads()
        context.Process(target=_serve, args=arguments, daemon=True).start()
        theirs.close()

    def __call__(self, *case: Any) -> Round:
        self.pipe.send(case)
        return self.receive()

    def receive(self) -> Any:
        try:
            answer = self.pipe.recv()
        except EOFError:
            answer = 'its process ended; was there too little memory?'
        if isinstance(answer, str):
            raise RuntimeError(f'{self.name}: {answer}')
        return answer


def _serve(pipe: Any, build: Callable[[], CallOf], threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        call_of = build()
        pipe.send(None)
        while True:
            pipe.send(_timed(call_of, 'cpu', *pipe.recv()))
    except (EOFError, KeyboardInterrupt):
        return  # the other process has what it wanted, or the user has
    except Exception as error:
        pipe.send(f'{type(error).__name__}: {error}')
