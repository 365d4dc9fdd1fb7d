"""What the file of a converted detector says of itself, and the report of its conversion."""

from pathlib import Path
from typing import Any, Dict, Union

from .detector_conversion import DetectorConversion
from .find_weights import Found


def detector_meta(conversion: DetectorConversion) -> Dict[str, Any]:
    """What ``load_detector`` reads: the config's name, what the weights decide, the classes."""
    detector = dict(
        config=conversion.config,
        eca_kernel_sizes=list(conversion.backbone['eca_kernel_sizes']),
        num_classes=conversion.num_classes,
    )
    if not conversion.classes:
        return dict(detector=detector)
    return dict(detector=detector, dataset_meta=dict(classes=conversion.classes))  # where mmdet looks


def detector_report(
    conversion: DetectorConversion, found: Found, src: Union[str, Path], dst: Union[str, Path], digest: str
) -> str:
    """Describe a conversion: recognised, renamed, dropped, added, and how to use the result."""
    sizes = ''.join(map(str, conversion.backbone['eca_kernel_sizes']))
    first = f', such as {" -> ".join(conversion.renamed[0])}' if conversion.renamed else ''
    names = 'named in the file' if conversion.classes else 'without names'
    return '\n'.join(
        [
            f'source    {src}: {conversion.source}, {Path(src).stat().st_size:,} bytes',
            f'          sha256 {digest}',
            f'weights   {found.describe()}',
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
