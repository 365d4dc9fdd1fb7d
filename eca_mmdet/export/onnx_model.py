"""Predict with an exported model, as ``Detector`` predicts with a checkpoint."""

from pathlib import Path
from typing import Dict, List, Union

import numpy as np

from ..checkpoints.io import prefix_errors
from ..prediction.result import Result
from ..prediction.sources import SourceImage
from .mask_pasting import paste
from .onnx_description import Description, read_description
from .runtimes import RUNTIMES, open_session

_OUTPUTS = {
    'detection': {'boxes', 'scores', 'labels'},
    'instance segmentation': {'boxes', 'scores', 'labels', 'masks'},
    'semantic segmentation': {'segmentation'},
    'classification': {'probabilities'},
}


class OnnxModel:
    """An exported model.

    Args:
        file: The ``.onnx`` file, or its content.
        runtime: ``'onnxruntime'`` or ``'openvino'``.

    Attributes:
        description: Task, classes and preparation of images.
        classes: Names of the classes.

    Raises:
        FileNotFoundError: If the file does not exist.
        MissingPackageError: If onnx or the runtime is not installed.
        ValueError: If it was not written by ``tools/export.py``.
    """

    def __init__(self, file: Union[str, Path, bytes], runtime: str = 'onnxruntime') -> None:
        if runtime not in RUNTIMES:
            raise ValueError(f'backend={runtime!r}: exported models run with {" or ".join(RUNTIMES)}')
        if isinstance(file, bytes):
            name, content = 'the exported model', file
        else:
            name, content = str(file), _read(Path(file).expanduser())
        with prefix_errors(name):
            self._session = open_session(content, runtime)
            self.description: Description = read_description(self._session.metadata)
            unknown = set(self._session.inputs) - {'image', 'size', 'factors', 'original_size'}
            if unknown or 'image' not in self._session.inputs:
                raise ValueError(
                    f'its inputs are {sorted(self._session.inputs)}, which this version cannot feed'
                )
        self.classes = self.description.classes
        self._name = name

    def predict(self, images: List[SourceImage]) -> List[Result]:
        """Predict on images, one after the other.

        Raises:
            ValueError: If an image does not fit in a fixed input size, or the file computes something else
                than it describes.
        """
        return [self._predict(image) for image in images]

    def feeds(self, pixels: np.ndarray) -> Dict[str, np.ndarray]:
        """Return the inputs of the graph for an image ``(H, W, 3)``, uint8, BGR."""
        image, size = self.description.preparation(pixels)
        height, width = pixels.shape[:2]
        feeds = dict(
            image=image,
            size=np.array(size, np.int64),
            # as in mmdet, which divides by width / original width
            factors=np.array([1 / (size[1] / width), 1 / (size[0] / height)], np.float32),
            original_size=np.array([height, width], np.int64),
        )
        return {name: feeds[name] for name in self._session.inputs}

    def _predict(self, source: SourceImage) -> Result:
        height, width = source.pixels.shape[:2]
        found = self._session.run(self.feeds(source.pixels))
        result = Result(self.description.classes, (height, width), source.path, image=source.pixels)
        with prefix_errors(self._name):
            _check_outputs(found, self.description, (height, width))
        if 'probabilities' in found:
            result.probabilities = found['probabilities'][0]
        elif 'segmentation' in found:
            result.segmentation = found['segmentation']
        else:
            result.boxes, result.scores, result.labels = (found[key] for key in ('boxes', 'scores', 'labels'))
            masks = found.get('masks')
            if masks is not None and masks.dtype != bool:
                masks = paste(masks, result.boxes, result.size, self.description.mask_threshold)
            result.masks = masks
        return result


def _read(path: Path) -> bytes:
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file')
    return path.read_bytes()


def _check_outputs(found: Dict[str, np.ndarray], description: Description, size: tuple) -> None:
    """Check the outputs of a file that may come from elsewhere."""
    if set(found) != _OUTPUTS[description.task]:
        raise ValueError(f'its outputs are {sorted(found)}, which are not those of {description.task}')
    count, classes = len(next(iter(found.values()))), len(description.classes)
    masks = found.get('masks', np.zeros((count, 1, 1), np.float32))
    shapes = dict(
        boxes=(count, 4),
        scores=(count,),
        labels=(count,),
        masks=(count, *size) if masks.dtype == bool else (count, *masks.shape[1:]),
        segmentation=size,
        probabilities=(1, classes),
    )
    wrong = [
        name
        for name, value in found.items()
        if value.shape != shapes[name] or value.dtype not in _DTYPES[name]
    ]
    if wrong or masks.ndim != 3:
        raise ValueError(f'its outputs {wrong or ["masks"]} have unexpected shapes or types')
    labels = found.get('labels', found.get('segmentation'))
    if labels is not None and labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(
            f'it predicts labels from {labels.min()} to {labels.max()}, but names {classes} classes'
        )


_DTYPES = dict(
    boxes=(np.float32,),
    scores=(np.float32,),
    labels=(np.int64,),
    masks=(np.float32, np.bool_),
    segmentation=(np.int64,),
    probabilities=(np.float32,),
)
