"""Whether models that should compute the same do, before anything is timed."""

from typing import Any, Dict, Iterable, List, NamedTuple

from torch import Tensor

ARCHITECTURE = dict(naive='eca', ours='eca', nchw='eca', plain='stock')  # others by their kind
TOLERANCE = dict(amp=0.05, exact=1e-3)  # norm of a tensor's error over the tensor's norm


class Values(NamedTuple):
    """What a model computed: features, losses, gradients."""

    name: str
    tensors: List[Tensor]


def check_equal(computed: Iterable[Values]) -> List[Dict[str, Any]]:
    """Compare each model with the first of its architecture.

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
            ((a.float() - b).norm() / b.norm().clamp(min=1e-6)).item()
            for a, b in zip(tensors, reference.tensors)
        )
        limit = TOLERANCE['amp' if 'amp' in options else 'exact']
        if not error <= limit:
            raise ValueError(
                f'{name} does not compute what {reference.name} does: error {error:.1e} > {limit}'
            )
        records.append(dict(model=name, reference=reference.name, error=error, limit=limit))
    return records
