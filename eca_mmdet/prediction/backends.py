"""Choose what computes the predictions: torch, onnxruntime or OpenVINO."""

from pathlib import Path
from typing import List, Optional, Protocol, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.logging import print_log
from torch import nn

from ..environment import MissingPackageError, is_installed
from .result import Result
from .sources import SourceImage
from .torch_model import TorchModel

BACKENDS = ('auto', 'torch', 'onnxruntime', 'openvino')
FASTEST = ('onnxruntime', 'openvino')
"""Backends for ``'auto'`` on a CPU, the preferred first; ``tools/benchmark_export.py`` compares them."""


class Predictor(Protocol):
    """Something that predicts on batches of images."""

    classes: Tuple[str, ...]

    def predict(self, images: List[SourceImage]) -> List[Result]:
        """Predict on a batch of images."""


def open_exported(path: Path, backend: Optional[str]) -> Predictor:
    """Load a file of ``tools/export.py``.

    Args:
        path: The ``.onnx`` file.
        backend: One of ``BACKENDS`` except torch; ``None`` for onnxruntime.

    Raises:
        MissingPackageError: If a package is missing.
        ValueError: If the backend is unknown or the file cannot be used.
    """
    from ..export.onnx_model import OnnxModel

    _check(backend)
    if backend == 'torch':
        raise ValueError(f'{path.name} does not run with torch. Use the checkpoint, or another backend')
    return OnnxModel(path, _fastest() if backend == 'auto' else backend or 'onnxruntime')


def choose_predictor(
    cfg: Config,
    model: nn.Module,
    classes: Tuple[str, ...],
    device: Union[str, torch.device],
    backend: Optional[str],
) -> Predictor:
    """Return what computes the predictions of a loaded model.

    Args:
        cfg: The config of the model.
        model: The model with its weights.
        classes: Names of the classes.
        device: Where torch computes.
        backend: One of ``BACKENDS``; ``None`` for torch.

    Raises:
        MissingPackageError: If a package is missing.
        ValueError: If the backend is unknown, or the model cannot be exported for it.
    """
    _check(backend)
    is_automatic = backend == 'auto'
    if is_automatic:
        backend = 'torch' if torch.device(device).type != 'cpu' else _fastest()
    if backend in (None, 'torch'):
        return TorchModel(cfg, model, classes, device)
    try:
        from ..export.onnx_model import OnnxModel
        from ..export.write_onnx import to_onnx

        predictor = OnnxModel(to_onnx(cfg, model, classes), str(backend))
    except (ValueError, MissingPackageError) as error:
        if not is_automatic:
            raise
        print_log(f'backend=auto: torch computes, since {error}', 'current')
        return TorchModel(cfg, model, classes, device)
    print_log(f'backend={backend}: the model was exported and does not use torch', 'current')
    return predictor


def _check(backend: Optional[str]) -> None:
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f'backend={backend!r}: allowed are {", ".join(BACKENDS)}')


def _fastest() -> str:
    return next((name for name in FASTEST if is_installed(name)), 'onnxruntime')
