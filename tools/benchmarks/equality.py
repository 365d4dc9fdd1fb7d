"""Whether models that should compute the same do, before anything is timed."""

from typing import Any, Dict, Iterable, List, NamedTuple

import torch
from torch import Tensor

ARCHITECTURE = dict(naive='eca', ours='eca', nchw='eca', plain='stock')  # others by their kind
TOLERANCE = dict(amp=0.05, exact=1e-4, float64=1e-9)  # norm of a tensor's error over the tensor's norm


class Values(NamedTuple):
    """What a model computed: features, losses, gradients."""

    name: str
    tensors: List[Tensor]


def check_equal(computed: Iterable[Values], what: str = 'values') -> List[Dict[str, Any]]:
    """Compare each model with the first of its architecture.

    Args:
        computed: By each model, of the same inputs.
        what: Was computed, for the records.

    Returns:
        One record a model: the largest relative error of its tensors.

    Raises:
        ValueError: If an error exceeds the tolerance.
    """
    first: Dict[str, Values] = {}
    records = []
    for name, tensors in computed:
        kind, *options = name.split('+')
        reference = first.setdefault(ARCHITECTURE.get(kind, kind), Values(name, tensors))
        if name == reference.name:
            continue
        error = max(
            ((a.to(b.dtype) - b).norm() / b.norm().clamp(min=1e-6)).item()
            for a, b in zip(tensors, reference.tensors)
        )
        precise = tensors[0].dtype == torch.float64
        limit = TOLERANCE['amp' if 'amp' in options else 'float64' if precise else 'exact']
        if not error <= limit:
            raise ValueError(
                f'{name} does not compute what {reference.name} does: error {error:.1e} > {limit}'
            )
        records.append(dict(model=name, reference=reference.name, what=what, error=error, limit=limit))
    return records
