"""Check that models of the same architecture compute the same values before they are timed."""

from typing import Any, Dict, Iterable, List, NamedTuple

import torch
from torch import Tensor

ARCHITECTURES = dict(naive='eca', ours='eca', nchw='eca', plain='stock')
"""Architecture of each kind of model; for other kinds it is the kind itself."""

TOLERANCES = dict(amp=0.05, exact=1e-4, float64=1e-9)
"""Allowed norm of the error relative to the norm of the tensor."""


class Values(NamedTuple):
    """Features, losses or gradients that a model computed."""

    name: str
    tensors: List[Tensor]


def check_equal(computed: Iterable[Values], what: str = 'values') -> List[Dict[str, Any]]:
    """Compare each model with the first one of the same architecture.

    Args:
        computed: Values of each model for the same inputs.
        what: What the values are, for the records.

    Returns:
        One record per compared model with the largest relative error of its tensors.

    Raises:
        ValueError: If an error exceeds the tolerance.
    """
    references: Dict[str, Values] = {}
    records = []
    for name, tensors in computed:
        kind, *options = name.split('+')
        reference = references.setdefault(ARCHITECTURES.get(kind, kind), Values(name, tensors))
        if name == reference.name:
            continue
        error = max(
            ((a.to(b.dtype) - b).norm() / b.norm().clamp(min=1e-6)).item()
            for a, b in zip(tensors, reference.tensors)
        )
        is_float64 = tensors[0].dtype == torch.float64
        limit = TOLERANCES['amp' if 'amp' in options else 'float64' if is_float64 else 'exact']
        if not error <= limit:
            raise ValueError(
                f'{name} and {reference.name} compute different {what}: '
                f'the relative error is {error:.1e}, at most {limit} is allowed'
            )
        records.append(dict(model=name, reference=reference.name, what=what, error=error, limit=limit))
    return records
