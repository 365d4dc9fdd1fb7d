"""Random numbers that depend only on a seed and a position in the training, not on what was drawn before.

The generators are seeded again for every sample and every iteration, from the numbers that say which one it
is. So a resumed run draws the same numbers without any stored state, with any number of workers.
"""

import random
from typing import Sequence

import numpy as np
import torch


def seed_sample(key: Sequence[int]) -> None:
    """Seed the generators of Python, NumPy and torch (CPU) for loading one sample."""
    torch.default_generator.manual_seed(_seed_python(key))


def seed_iteration(key: Sequence[int]) -> None:
    """Seed the generators of Python, NumPy and torch (all devices) for one training iteration."""
    torch.manual_seed(_seed_python(key))


def _seed_python(key: Sequence[int]) -> int:
    """Seed Python and NumPy; return a seed for torch."""
    first, second, *words = map(int, np.random.SeedSequence(key).generate_state(8))
    random.seed(first << 32 | second)
    np.random.seed(words[:4])
    return words[4] << 32 | words[5]
