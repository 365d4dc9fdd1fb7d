"""Convert a checkpoint file to a file of another format."""

from pathlib import Path
from typing import Any, Dict, Optional, Union

from ..backbones.kernel_sizes import KernelSizes
from .conversion import Conversion
from .conversion_report import report
from .find_weights import find_weights
from .formats import convert
from .io import check_target, prefix_errors, read_checkpoint, sha256, write_weights


def convert_file(
    src: Union[str, Path],
    dst: Union[str, Path],
    overwrite: bool = False,
    source: Optional[str] = None,
    target: str = 'mmdet',
    eca_kernel_sizes: KernelSizes = None,
    weights: Optional[str] = None,
) -> str:
    """Convert a checkpoint file and return a report of what was done.

    Args:
        src: A checkpoint of a backbone or a whole detector, ``.pth`` or ``.safetensors``.
        dst: The file to write. With the suffix ``.safetensors`` it is a safetensors file with JSON
            metadata, otherwise ``{'state_dict': ..., 'meta': ...}`` saved by torch.
        overwrite: Whether an existing ``dst`` may be replaced.
        source: One of ``source_names()``, or ``None`` to recognise the format.
        target: One of ``target_names()``. Detectors can only be written for mmdet.
        eca_kernel_sizes: As in ``convert``.
        weights: The container in ``src`` to use, such as ``'model_ema'``, if there are several.

    Raises:
        FileNotFoundError: If ``src`` does not exist.
        ValueError: If ``src`` is not a checkpoint that can be converted.
        FileExistsError: If ``dst`` exists and ``overwrite`` is false.
        PermissionError: If ``dst`` cannot be written.
    """
    from .. import __version__

    src, dst = Path(src).expanduser(), Path(dst).expanduser()
    check_target(dst, overwrite)
    with prefix_errors(src):
        found = find_weights(read_checkpoint(src, mmap=True), weights)
        conversion = convert(found, source, target, eca_kernel_sizes)
    digest = sha256(src)
    meta = dict(
        eca_mmdet=__version__,
        source=dict(format=conversion.source, file=src.name, sha256=digest),
        layout=target,  # files of version 0.1.0 have this key
        **described_model(conversion),
    )
    write_weights(conversion.state_dict, meta, dst, overwrite)
    return report(conversion, found, src, dst, digest, target)


def described_model(conversion: Conversion) -> Dict[str, Any]:
    """Return the metadata that describes the converted model; ``load_detector`` builds it from this."""
    detector = conversion.detector
    if detector is None:
        return dict(backbone=conversion.backbone)
    settings = dict(
        config=detector.config,
        eca_kernel_sizes=list(conversion.backbone['eca_kernel_sizes']),
        num_classes=detector.num_classes,
    )
    if not detector.classes:
        return dict(detector=settings)
    return dict(detector=settings, dataset_meta=dict(classes=detector.classes))  # where mmdet reads them
