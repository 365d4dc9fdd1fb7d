"""Run rounds of the models, on a CPU each model in its own process.

In a single process the models share memory that the allocator keeps. The time of a model then depends
by up to 25 % on which model ran before it.
"""

import multiprocessing
import sys
from functools import partial
from typing import Any, Callable, Dict, NamedTuple, Sequence, Tuple

import torch

from .measure import time_call

PrepareStep = Callable[[str, Tuple[int, int], int], Callable[[], Any]]
"""Prepares a step of a model for a mode, image size and batch size."""


class Round(NamedTuple):
    """Seconds of one round, and the number of graphs that torch compiled in it."""

    seconds: float
    graphs: int


RunRound = Callable[[str, Tuple[int, int], int], Round]
"""Runs one round of a model for a mode, image size and batch size."""


def start_models(names: Sequence[str], build: Callable[..., PrepareStep], device: str) -> Dict[str, RunRound]:
    """Build the models, and return a function per model that runs and times one round.

    Args:
        names: Names of the models.
        build: Builds a model from its name; must be picklable.
        device: ``'cpu'`` runs each model in its own process, ``'cuda'`` runs all in this process.

    Raises:
        RuntimeError: If the process of a model fails. The returned functions raise it, too.
    """
    if device != 'cpu':
        return {name: partial(_run_round, build(name), device) for name in names}
    workers = {name: _Worker(name, build) for name in names}
    for worker in workers.values():
        worker.receive()  # wait until the model is built
    return workers


def _run_round(prepare_step: PrepareStep, device: str, *case: Any) -> Round:
    step, graphs_before = prepare_step(*case), _count_graphs()
    return Round(time_call(step, device), _count_graphs() - graphs_before)


def _count_graphs() -> int:
    dynamo = sys.modules.get('torch._dynamo')  # not imported here, which would take seconds
    return dynamo.utils.counters['stats']['unique_graphs'] if dynamo else 0


class _Worker:
    """A daemon process that holds one model."""

    def __init__(self, name: str, build: Callable[..., PrepareStep]) -> None:
        context = multiprocessing.get_context('spawn')
        self.name = name
        self.pipe, worker_pipe = context.Pipe()
        arguments = worker_pipe, partial(build, name), torch.get_num_threads()
        context.Process(target=_serve, args=arguments, daemon=True).start()
        worker_pipe.close()

    def __call__(self, *case: Any) -> Round:
        self.pipe.send(case)
        return self.receive()

    def receive(self) -> Any:
        try:
            answer = self.pipe.recv()
        except EOFError:
            answer = 'its process ended unexpectedly, perhaps because memory ran out'
        if isinstance(answer, str):
            raise RuntimeError(f'{self.name}: {answer}')
        return answer


def _serve(pipe: Any, build: Callable[[], PrepareStep], threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        prepare_step = build()
        pipe.send(None)
        while True:
            pipe.send(_run_round(prepare_step, 'cpu', *pipe.recv()))
    except (EOFError, KeyboardInterrupt):
        return  # the parent process has finished, or the user has interrupted it
    except Exception as error:
        pipe.send(f'{type(error).__name__}: {error}')
