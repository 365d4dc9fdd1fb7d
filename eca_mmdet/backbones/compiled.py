"""``torch.compile`` of a function of image batches whose size changes from step to step.

mmengine's ``compile`` of a run's config compiles the training step of the whole detector, whose
assigners and samplers break the graph and make new ones; this is for the backbone alone.
"""

from importlib.util import find_spec
from typing import Any, Callable, Dict, Tuple

import torch

COMPILE_OPTIONS: Dict[str, Any] = dict(
    dynamic=True,
    # Otherwise torch 2.13 takes the strides of a convolution's gradient as constants and compiles
    # the backward pass anew for every image size.
    options=dict(force_layout_optimization=True),
)


class Compiled:
    """A function that is compiled at its first call; a copy or a pickle of it compiles anew."""

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.call = torch.compile(function, **COMPILE_OPTIONS)

    def __call__(self, *args: Any) -> Any:
        """Call the compiled function."""
        return self.call(*args)

    def __reduce__(self) -> Tuple:
        return Compiled, (self.function,)


def require_compiler() -> None:
    """Raise a ``ValueError`` where torch finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # seconds to import, for this option only
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise ValueError(
            'compile=True needs a C++ compiler, and torch finds none; install g++, name one in the '
            'environment variable CXX, or build the backbone without compile=True'
        ) from None


def require_triton() -> None:
    """Raise a ``ValueError`` where the package triton is missing."""
    if find_spec('triton') is None:
        raise ValueError(
            'triton=True needs the package triton, which comes with torch for CUDA; install it, or '
            'build the backbone without triton=True'
        )
