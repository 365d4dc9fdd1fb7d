"""From a checkpoint file to a backbone file that mmdet loads strictly."""

from pathlib import Path
from typing import Union

from .io import check_target, read_checkpoint, sha256, write_checkpoint
from .official import Conversion, convert_official


def convert_file(src: Union[str, Path], dst: Union[str, Path], overwrite: bool = False) -> str:
    """Convert a released checkpoint file; return the report to show.

    Args:
        src: An official ECANet ImageNet checkpoint.
        dst: The backbone file to write, ``{'state_dict': ..., 'meta': ...}``.
        overwrite: Whether an existing ``dst`` may be replaced.

    Raises:
        FileNotFoundError: If ``src`` does not exist.
        ValueError: If ``src`` is not a checkpoint that can be converted.
        FileExistsError: If ``dst`` exists and ``overwrite`` is false.
        PermissionError: If ``dst`` cannot be written.
    """
    from .. import __version__

    check_target(dst, overwrite)
    try:
        conversion = convert_official(read_checkpoint(src))
    except ValueError as error:
        message = str(error)
        raise ValueError(message if str(src) in message else f'{src}: {message}') from None
    digest = sha256(src)
    meta = dict(
        eca_mmdet=__version__,
        source=dict(format=conversion.source, file=Path(src).name, sha256=digest),
        backbone=conversion.backbone,
    )
    write_checkpoint(dict(state_dict=conversion.state_dict, meta=meta), dst, overwrite)
    return report(conversion, src, dst, digest)


def report(conversion: Conversion, src: Union[str, Path], dst: Union[str, Path], digest: str) -> str:
    """Describe a conversion: recognised, renamed, dropped, added, kept, and the config lines."""
    sizes = ''.join(map(str, conversion.backbone['eca_kernel_sizes']))
    depth = conversion.backbone['depth']
    kept = sum(t.numel() for k, t in conversion.state_dict.items() if not _is_buffer(k))
    first = (
        f', such as {conversion.renamed[0][0]} -> {conversion.renamed[0][1]}' if conversion.renamed else ''
    )
    return '\n'.join(
        [
            f'source    {src}: {conversion.source}, {Path(src).stat().st_size:,} bytes',
            f'          sha256 {digest}',
            f'network   ECA-ResNet-{depth}, kernel sizes {sizes}',
            f'renamed   {len(conversion.renamed)} tensors{first}',
            f'dropped   {", ".join(conversion.dropped) or "nothing"}',
            f'added     {len(conversion.added)} tensors{" (batch counters, 0)" if conversion.added else ""}',
            f'kept      {len(conversion.state_dict)} tensors, {kept:,} parameters',
            f'written   {dst}',
            '',
            'In a config:',
            '    backbone=dict(',
            f"        type='ECAResNet', depth={depth}, eca_kernel_sizes='{sizes}',",
            f"        init_cfg=dict(type='Pretrained', checkpoint='{dst}'))",
            'In Python:',
            f"    eca_mmdet.load_backbone('{dst}')",
        ]
    )


def _is_buffer(name: str) -> bool:
    return name.endswith(('running_mean', 'running_var', 'num_batches_tracked'))
