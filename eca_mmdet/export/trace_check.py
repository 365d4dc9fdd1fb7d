"""Check that an exported file is valid for other input sizes than that of its trace.

A layer that computes a size with Python numbers would fix that size in the file without an error.
"""

from typing import Any

import numpy as np
import torch

from ..environment import is_installed
from .image_preparation import Preparation
from .runtimes import open_session
from .traced_inputs import example_inputs

_TOLERANCE = 1e-2  # pixels and probabilities; a fixed size changes almost all of them by far more
_MOST_INSTANCES = 0.1  # share of different values of instances: equal scores may be in another order
_MOST_PIXELS = 1e-3  # share of pixels with another class


@torch.no_grad()
def check_other_sizes(graph: Any, content: bytes, preparation: Preparation) -> None:
    """Compare a file with its graph on noise of another size. Without onnxruntime, nothing is checked.

    Args:
        graph: What was traced.
        content: The exported file.
        preparation: How images are prepared.

    Raises:
        ValueError: If the values differ.
    """
    if preparation.pad_size or not is_installed('onnxruntime'):
        return
    inputs = example_inputs(preparation, (288, 160))
    expected = graph(*(inputs[name] for name in graph.inputs))
    expected = expected if isinstance(expected, tuple) else (expected,)
    session = open_session(content)
    found = session.run({name: inputs[name].numpy() for name in session.inputs})
    for name, value in zip(graph.outputs, expected):
        limit = _MOST_PIXELS if name == 'segmentation' else _MOST_INSTANCES
        if _different_share(value.numpy(), found[name], is_ordered=name == 'segmentation') > limit:
            raise ValueError(
                f'{name} of the exported model differ from those of torch for another image size than that '
                'of the export, so a layer of the model has a fixed size. Export it with --size HEIGHT WIDTH'
            )


def _different_share(expected: np.ndarray, found: np.ndarray, is_ordered: bool) -> float:
    """Return the share of different values, of instances without regard to their order."""
    if expected.shape != found.shape:
        return 1.0
    if not expected.size:
        return 0.0
    if not is_ordered:
        expected, found = np.sort(expected, 0), np.sort(found, 0)
    if expected.dtype == np.float32:
        return 1 - float(np.isclose(expected, found, atol=_TOLERANCE, rtol=1e-3).mean())
    return float((expected != found).mean())
