"""From a checkpoint file to a checkpoint file of another layout."""

from pathlib import Path
from typing import Optional, Union

from ..backbones.kernel_sizes import KernelSizes
from .conversion import Conversion
from .detector_conversion import VERSIONS, convert_detector, recognise_detector
from .detector_file import detector_meta, detector_report
from .find_weights import Found, find_weights
from .formats import FORMATS, convert
from .io import check_target, prefix_errors, read_checkpoint, sha256, write_weights

DETECTORS = {f'detector-{version}': version for version in VERSIONS}
SOURCES = (*(known.name for known in FORMATS), *DETECTORS)
"""All that ``source`` may be: formats of backbones, and whole detectors of mmdet by version."""


def convert_file(
    src: Union[str, Path],
    dst: Union[str, Path],
    overwrite: bool = False,
    source: Optional[str] = None,
    target: str = 'mmdet',
    eca_kernel_sizes: KernelSizes = None,
    weights: Optional[str] = None,
) -> str:
    """Convert a checkpoint file; return the report to show.

    Args:
        src: A backbone or a whole detector of one of ``SOURCES``, ``.pth`` or ``.safetensors``.
        dst: The file to write, by its suffix: ``.safetensors`` with JSON in its metadata, or
            ``{'state_dict': ..., 'meta': ...}``.
        overwrite: Whether an existing ``dst`` may be replaced.
        source: One of ``SOURCES``, or ``None`` to recognise it.
        target: Whose names to write: one of ``formats.TARGETS``; detectors are mmdet's only.
        eca_kernel_sizes: Sizes for a network without ECA; ``None`` for those of its depth.
        weights: The entry of ``src`` that holds the weights, such as ``'model_ema'``, where there
            are several.

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
        is_detector = source in DETECTORS
        if source is None:
            is_detector = recognise_detector(found.tensors)
        if is_detector:
            if target != 'mmdet' or eca_kernel_sizes is not None:
                raise ValueError('a whole detector is written for mmdet, with the kernel sizes that it has')
            conversion = convert_detector(found, DETECTORS.get(source))
        else:
            conversion = convert(found, source, target, eca_kernel_sizes)
    digest = sha256(src)
    meta = dict(
        eca_mmdet=__version__,
        source=dict(format=conversion.source, file=Path(src).name, sha256=digest),
        layout=target,
        **(detector_meta(conversion) if is_detector else dict(backbone=conversion.backbone)),
    )
    write_weights(conversion.state_dict, meta, dst, overwrite)
    if is_detector:
        return detector_report(conversion, found, src, dst, digest)
    return report(conversion, found, src, dst, digest, target)


def report(
    conversion: Conversion,
    found: Found,
    src: Union[str, Path],
    dst: Union[str, Path],
    digest: str,
    target: str = 'mmdet',
) -> str:
    """Describe a conversion: recognised, renamed, dropped, added, kept, and the config lines."""
    kept = sum(t.numel() for k, t in conversion.state_dict.items() if not _is_buffer(k))
    first = (
        f', such as {conversion.renamed[0][0]} -> {conversion.renamed[0][1]}' if conversion.renamed else ''
    )
    lines = [
        f'source    {src}: {conversion.source}, {Path(src).stat().st_size:,} bytes',
        f'          sha256 {digest}',
        f'weights   {found.describe()}',
        f'network   {conversion.network or conversion.backbone["type"]}',
        f'renamed   {len(conversion.renamed)} tensors{first}',
        f'dropped   {", ".join(conversion.dropped) or "nothing"}',
        f'added     {_added(conversion)}',
        f'kept      {len(conversion.state_dict)} tensors, {kept:,} parameters',
        f'written   {dst}, names of {target}',
    ]
    if target != 'mmdet' and not conversion.classifier:
        lines.append('          without a classifier: the source has none')
    if target == 'mmdet':
        arguments = [f'{key}={value!r}' for key, value in _as_in_config(conversion.backbone).items()]
        lines += [
            '',
            'In a config:',
            '    backbone=dict(',
            f'        {", ".join(arguments)},',
            f"        init_cfg=dict(type='Pretrained', checkpoint='{dst}'))",
        ]
    return '\n'.join([*lines, 'In Python:', f"    eca_mmdet.load_backbone('{dst}')"])


def _added(conversion: Conversion) -> str:
    counters = sum(name.endswith('num_batches_tracked') for name in conversion.added)
    others = len(conversion.added) - counters
    parts = [f'{others} ECA weights at their initial value: they must be trained'] if others else []
    parts += [f'{counters} batch counters, 0'] if counters else []
    return '; '.join(parts) or 'nothing'


def _as_in_config(backbone: dict) -> dict:
    sizes = backbone.get('eca_kernel_sizes')
    if sizes and max(sizes) < 10:
        return {**backbone, 'eca_kernel_sizes': ''.join(map(str, sizes))}
    return backbone


def _is_buffer(name: str) -> bool:
    return name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))
