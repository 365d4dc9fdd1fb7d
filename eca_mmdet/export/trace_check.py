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

_TOLERANCE = 1e-2  # pixels and probabilities
_DIFFERENT = 0.1  # share of values; equal scores may be in another order. A fixed size changes almost all


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
        if not _is_close(value.numpy(), found[name]):
            raise ValueError(
                f'{name} of the exported model differ from those of torch for another image size than that '
                'of the export, so a layer of the model has a fixed size. Export it with --size HEIGHT WIDTH'
            )


def _is_close(expected: np.ndarray, found: np.ndarray) -> bool:
    if expected.shape != found.shape:
        return False
    if expected.dtype != np.float32:
        return not expected.size or float((expected != found).mean()) < _DIFFERENT
    is_close = np.isclose(np.sort(expected, 0), np.sort(found, 0), atol=_TOLERANCE, rtol=1e-3)
    return not is_close.size or float(is_close.mean()) > 1 - _DIFFERENT
