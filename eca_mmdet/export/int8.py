"""Quantise an exported model to int8 after the training, with the ranges of values on some images."""

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Union

import numpy as np
from mmengine.utils import ProgressBar

from ..prediction.sources import list_images, read_image
from .exportable import require_onnx
from .onnx_model import OnnxModel

_LAYERS = ['Conv', 'Gemm']
"""Operators that compute in int8. Decoding of boxes, NMS, RoIAlign and the pasting of masks stay float32."""


def to_int8(content: bytes, images: Sequence[Union[str, Path]]) -> bytes:
    """Quantise the convolutions and fully connected layers of an exported model.

    Weights get one scale per output channel. Inputs of layers get the range that they have on the images.

    Args:
        content: The exported model.
        images: Images like those of the application; 50 are enough.

    Returns:
        The content of the quantised file, which all runtimes read.

    Raises:
        MissingPackageError: If onnx or onnxruntime is not installed.
        ValueError: If there are no images, or the model is not from ``tools/export.py``.
    """
    require_onnx('onnxruntime')
    if not images:
        raise ValueError('int8 needs images to measure the ranges of values on')
    import onnx
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    model = OnnxModel(content)
    original = onnx.load_model_from_string(content)
    with tempfile.TemporaryDirectory() as folder, _without_advice():
        target = Path(folder, 'int8.onnx')
        quantize_static(
            original,
            str(target),
            _Images(model, images),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=_LAYERS,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            extra_options=dict(ActivationSymmetric=False, WeightSymmetric=True),
        )
        quantised = onnx.load(str(target))
    del quantised.metadata_props[:]
    onnx.helper.set_model_props(quantised, {item.key: item.value for item in original.metadata_props})
    return quantised.SerializeToString()


class _Images:
    """The inputs of a model for each image, as onnxruntime's ``CalibrationDataReader`` gives them."""

    def __init__(self, model: OnnxModel, images: Sequence[Union[str, Path]]) -> None:
        self._feeds: Iterator[Dict[str, np.ndarray]] = (
            model.feeds(read_image(image).pixels) for image in images
        )
        self._progress = ProgressBar(len(images))

    def get_next(self) -> Optional[Dict[str, np.ndarray]]:
        """Return the next inputs, or ``None`` after the last."""
        feeds = next(self._feeds, None)
        if feeds is not None:
            self._progress.update()
        return feeds


@contextmanager
def _without_advice() -> Iterator[None]:
    """Hide the advice that onnxruntime logs while it quantises."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(level)


def calibration_images(folder: Union[str, Path], count: int = 50) -> List[Path]:
    """Return evenly spaced images of a folder.

    Raises:
        FileNotFoundError: If it has none.
    """
    found = list_images(Path(folder).expanduser())
    return [found[index * len(found) // min(count, len(found))] for index in range(min(count, len(found)))]
