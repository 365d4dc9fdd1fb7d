import os
from functools import partial

import pytest
import torch
from benchmarks.workers import start_models


def build(name):
    """Build steps that check their process: its id is not ``name``, its thread count is ``batch``."""
    if name == 'broken':
        raise ValueError('no such model')

    def step(mode, size, batch):
        assert os.getpid() != int(name)
        assert torch.get_num_threads() == batch
        if mode == 'exit':
            os._exit(1)

    return lambda *case: partial(step, *case)


def test_models__run_in_separate_processes_with_as_many_threads():
    (run_round,) = start_models([str(os.getpid())], build, 'cpu').values()
    assert 0 < run_round('train', (32, 32), torch.get_num_threads()).seconds < 1
    with pytest.raises(RuntimeError, match='AssertionError'):
        run_round('train', (32, 32), -1)


def test_failures__are_reported_with_the_name_of_the_model():
    with pytest.raises(RuntimeError, match='broken: ValueError: no such model'):
        start_models(['broken'], build, 'cpu')
    (run_round,) = start_models(['0'], build, 'cpu').values()
    with pytest.raises(RuntimeError, match='0: its process ended unexpectedly'):
        run_round('exit', (32, 32), torch.get_num_threads())
