"""From the file of an old detector to a file that ``eca_mmdet.load_detector`` loads."""

from pathlib import Path
from typing import Optional, Union

from .detectors import DetectorConversion, convert_detector
from .io import check_target, read_checkpoint, sha256, write_checkpoint


def convert_detector_file(
    src: Union[str, Path], dst: Union[str, Path], overwrite: bool = False, source: Optional[str] = None
) -> str:
    """Convert the file of a whole detector; return the report to show.

    Args:
        src: A checkpoint of mmdet 1.x, 2.x or 3.x.
        dst: The file to write, ``{'state_dict': ..., 'meta': ...}``.
        overwrite: Whether an existing ``dst`` may be replaced.
        source: See ``convert_detector``.

    Raises:
        FileNotFoundError: If ``src`` does not exist.
        ValueError: If ``src`` cannot be converted.
        FileExistsError: If ``dst`` exists and ``overwrite`` is false.
        PermissionError: If ``dst`` cannot be written.
    """
    from .. import __version__

    check_target(dst, overwrite)
    try:
        conversion = convert_detector(read_checkpoint(src), source)
    except ValueError as error:
        message = str(error)
        raise ValueError(message if str(src) in message else f'{src}: {message}') from None
    digest = sha256(src)
    meta = dict(
        eca_mmdet=__version__,
        source=dict(format=conversion.source, file=Path(src).name, sha256=digest),
        detector=detector_meta(conversion),
    )
    if conversion.classes:
        meta['dataset_meta'] = dict(classes=conversion.classes)  # where mmdet looks for them
    write_checkpoint(dict(state_dict=conversion.state_dict, meta=meta), dst, overwrite)
    return detector_report(conversion, src, dst, digest)


def detector_meta(conversion: DetectorConversion) -> dict:
    """What ``load_detector`` reads: the config's name and the settings its weights decide."""
    return dict(
        config=conversion.config,
        eca_kernel_sizes=list(conversion.backbone['eca_kernel_sizes']),
        num_classes=conversion.num_classes,
    )


def detector_report(conversion: DetectorConversion, src, dst, digest: str) -> str:
    """Describe a conversion: recognised, renamed, dropped, added, and how to use the result."""
    sizes = ''.join(map(str, conversion.backbone['eca_kernel_sizes']))
    first = f', such as {" -> ".join(conversion.renamed[0])}' if conversion.renamed else ''
    names = 'named in the file' if conversion.classes else 'without names'
    return '\n'.join(
        [
            f'source    {src}: {conversion.source}, {Path(src).stat().st_size:,} bytes',
            f'          sha256 {digest}',
            f'network   ECA-ResNet-{conversion.backbone["depth"]}, kernel sizes {sizes}',
            f'classes   {conversion.num_classes}, {names}',
            f'renamed   {len(conversion.renamed)} tensors{first}',
            f'dropped   {", ".join(conversion.dropped) or "nothing"}',
            f'added     {len(conversion.added)} tensors{" (batch counters, 0)" if conversion.added else ""}',
            f'kept      {len(conversion.state_dict)} tensors',
            f'written   {dst}',
            '',
            f'Its config: eca_mmdet::{conversion.config} with eca_kernel_sizes={sizes!r}',
            'In Python:',
            f"    eca_mmdet.load_detector('{dst}')",
        ]
    )
