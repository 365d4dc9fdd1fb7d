"""Export a checkpoint to a file, and compare the file with torch."""

from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from ..apis.config import load_config
from ..checkpoints.io import check_target, write_file
from ..prediction.model_loading import class_names, find_config, load_checkpoint_alone, load_model
from ..prediction.result import Result
from ..prediction.sources import read_image
from ..prediction.torch_model import TorchModel
from .exportable import require_onnx
from .int8 import calibration_images, to_int8
from .onnx_model import OnnxModel
from .write_onnx import to_onnx


def export_file(
    config: Optional[str],
    checkpoint: Union[str, Path],
    out: Union[str, Path],
    size: Optional[Tuple[int, int]] = None,
    paste_masks: bool = False,
    images: Sequence[Union[str, Path]] = (),
    int8_images: Union[str, Path, None] = None,
    overwrite: bool = False,
) -> Dict[str, Any]:
    """Export a checkpoint to an ONNX file.

    Args:
        config: The config, by file or name; ``None`` if the checkpoint contains its config.
        checkpoint: The checkpoint.
        out: The file to write.
        size: Height and width of the input; ``None`` for a file that takes every size.
        paste_masks: Whether a Mask R-CNN returns masks of the size of the image.
        images: Images on which the file is compared with torch before it is written.
        int8_images: Folder of images to quantise the model with; ``None`` for float32.
        overwrite: Whether an existing file is replaced.

    Returns:
        The largest differences of ``compare``; empty without images.

    Raises:
        MissingPackageError: If onnx or, with images, onnxruntime is not installed.
        FileNotFoundError: If a file does not exist.
        FileExistsError: If ``out`` exists and ``overwrite`` is false.
        ValueError: If the model cannot be exported.
    """
    target = Path(out)
    if target.suffix.lower() != '.onnx':
        raise ValueError(f'{out}: the name must end with .onnx')
    check_target(target, overwrite)
    require_onnx(*(['onnxruntime'] if images or int8_images else []))
    sources = [read_image(image) for image in images]
    ranges = calibration_images(int8_images) if int8_images else []
    path = Path(checkpoint).expanduser()
    if config is None:
        cfg, model, meta = load_checkpoint_alone(path)
    else:
        cfg = load_config(find_config(config))
        model, meta = load_model(cfg, path)
    classes = class_names(cfg, meta)
    content = to_onnx(cfg, model.eval(), classes, size, paste_masks)
    content = to_int8(content, ranges) if ranges else content
    differences: Dict[str, Any] = {}
    if sources:
        exported, reference = OnnxModel(content), TorchModel(cfg, model, classes)
        differences = compare(
            [reference.predict([source])[0] for source in sources], exported.predict(sources)
        )
    write_file(target, overwrite, lambda file: file.write(content))
    return differences


def compare(expected: Sequence[Result], found: Sequence[Result]) -> Dict[str, Any]:
    """Return the largest differences between the results of two models.

    Each instance is matched with the nearest of the same class.

    Returns:
        ``images``, and of those with the same classes: ``boxes`` in pixels, ``scores``, ``masks`` and
        ``segmentation`` (share of the pixels), ``probabilities``. ``different`` counts the images whose
        instances have other classes or another number.
    """
    largest: Dict[str, Any] = dict(images=len(expected), different=0)
    for one, other in zip(expected, found):
        order = _nearest(one, other)
        if order is None:
            largest['different'] += 1
            continue
        other = other.select(order)
        for name in ('boxes', 'scores', 'probabilities', 'masks', 'segmentation'):
            left, right = getattr(one, name), getattr(other, name)
            if left is not None and (name != 'boxes' or one.probabilities is None):
                largest[name] = max(largest.get(name, 0.0), _difference(left, right))
    return largest


def _nearest(one: Result, other: Result) -> Optional[np.ndarray]:
    """Return for each instance of ``one`` its index in ``other``, or ``None`` if they do not correspond."""
    if len(one) != len(other):
        return None
    distances = np.abs(one.boxes[:, None] - other.boxes[None]).max(2)
    distances += 100 * np.abs(one.scores[:, None] - other.scores[None])
    distances[one.labels[:, None] != other.labels[None]] = np.inf
    order = distances.argmin(1) if len(one) else np.zeros(0, np.int64)
    is_same = np.array_equal(np.sort(order), np.arange(len(one)))
    return order if is_same and np.array_equal(one.labels, other.labels[order]) else None


def _difference(left: np.ndarray, right: np.ndarray) -> float:
    if left.size == 0:
        return 0.0
    if left.dtype == np.float32:
        return float(np.abs(left - right).max())
    return float((left != right).mean())


def describe_differences(found: Dict[str, Any]) -> List[str]:
    """Format the result of ``compare`` for people."""
    units = dict(boxes='pixels', masks='of the pixels', segmentation='of the pixels')
    lines = [
        f'largest difference of {name}: {found[name]:.2g} {units.get(name, "")}'.rstrip()
        for name in ('boxes', 'scores', 'masks', 'segmentation', 'probabilities')
        if name in found
    ]
    if found.get('different'):
        lines.append(f'images with other instances: {found["different"]} of {found["images"]}')
    return lines
