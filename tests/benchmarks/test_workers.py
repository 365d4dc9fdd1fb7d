import os
from functools import partial

import pytest
import torch
from benchmarks.workers import rounds_of


def build(name):
    """Rounds that tell where and how they run."""
    if name == 'broken':
        raise ValueError('no such model')

    def call(mode, size, batch):
        assert os.getpid() != int(name)
        assert torch.get_num_threads() == batch
        if mode == 'end':
            os._exit(1)

    return lambda *case: partial(call, *case)


def test_models__have_processes_of_their_own_with_as_many_threads():
    names = [str(os.getpid())]
    (round_of,) = rounds_of(names, build, 'cpu').values()
    assert 0 < round_of('train', (32, 32), torch.get_num_threads()).seconds < 1
    with pytest.raises(RuntimeError, match='AssertionError'):
        round_of('train', (32, 32), -1)


def test_failures__are_told_with_the_models_name():
    with pytest.raises(RuntimeError, match='broken: ValueError: no such model'):
        rounds_of(['broken'], build, 'cpu')
    (round_of,) = rounds_of(['0'], build, 'cpu').values()
    with pytest.raises(RuntimeError, match='0: its process ended'):
        round_of('end', (32, 32), torch.get_num_threads())
