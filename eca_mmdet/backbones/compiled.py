"""Compile the forward pass of a backbone once for all image sizes, with ``torch.compile``.

The ``compile`` option of an mmengine config compiles the training step of the whole detector, whose
assigners and samplers cause graph breaks and recompilations. This module compiles the backbone alone.
"""

from importlib.util import find_spec
from typing import Any, Callable, Dict, Tuple

import torch

COMPILE_OPTIONS: Dict[str, Any] = dict(
    dynamic=True,
    # Otherwise torch 2.13 treats the strides of a convolution's gradient as constants and recompiles
    # the backward pass for every image size.
    options=dict(force_layout_optimization=True),
)


class Compiled:
    """A function that is compiled at its first call.

    The compiled code is not copied or pickled: a copy is compiled again at its own first call.
    """

    def __init__(self, function: Callable) -> None:
        self.function = function
        self.call = torch.compile(function, **COMPILE_OPTIONS)

    def __call__(self, *args: Any) -> Any:
        """Call the compiled function."""
        return self.call(*args)

    def __reduce__(self) -> Tuple:
        return Compiled, (self.function,)


def require_compiler() -> None:
    """Raise a ``ValueError`` if torch finds no C++ compiler."""
    from torch._inductor.cpp_builder import get_cpp_compiler  # slow to import
    from torch._inductor.exc import InvalidCxxCompiler

    try:
        get_cpp_compiler()
    except InvalidCxxCompiler:
        raise ValueError(
            'compile=True needs a C++ compiler, but torch finds none; install g++, set the environment '
            'variable CXX to a compiler, or remove compile=True'
        ) from None


def require_triton() -> None:
    """Raise a ``ValueError`` if the package triton is missing."""
    if find_spec('triton') is None:
        raise ValueError(
            'triton=True needs the package triton, which comes with torch for CUDA; install it, or '
            'remove triton=True'
        )
