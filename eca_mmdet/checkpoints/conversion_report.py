"""Describe a conversion for the terminal."""

from pathlib import Path
from typing import Any, Dict, List

from ..backbones import FAMILIES
from .conversion import Conversion
from .effect import COUNTER
from .find_weights import Found


def report(
    conversion: Conversion, found: Found, src: Path, dst: Path, digest: str, target: str = 'mmdet'
) -> str:
    """Describe a conversion and how to use its result.

    Args:
        conversion: The conversion.
        found: The weights that were converted.
        src: The file that was read.
        dst: The file that was written.
        digest: SHA-256 of ``src``.
        target: The target format.
    """
    first = f', such as {" -> ".join(conversion.renamed[0])}' if conversion.renamed else ''
    parameters = sum(
        value.numel()
        for name, value in conversion.state_dict.items()
        if not name.endswith(('running_mean', 'running_var', COUNTER))
    )
    lines = [
        f'source    {src}: {conversion.source}, {src.stat().st_size:,} bytes',
        f'          sha256 {digest}',
        f'weights   {found.describe()}',
        f'network   {conversion.network}',
        f'renamed   {len(conversion.renamed)} tensors{first}',
        f'dropped   {", ".join(conversion.dropped) or "nothing"}',
        f'added     {_added(conversion)}',
        f'kept      {len(conversion.state_dict)} tensors, {parameters:,} parameters',
        f'written   {dst}, names of {target}',
    ]
    if conversion.detector:
        named = 'named in the file' if conversion.detector.classes else 'without names'
        lines.insert(4, f'classes   {conversion.detector.num_classes}, {named}')
    elif target != 'mmdet' and not conversion.classifier:
        lines.append('          without a classifier: the source has none')
    return '\n'.join([*lines, *_usage(conversion, dst, target)])


def _added(conversion: Conversion) -> str:
    counters = sum(name.endswith(COUNTER) for name in conversion.added)
    others = len(conversion.added) - counters
    parts = [f'{others} ECA weights at their initial value: they must be trained'] if others else []
    parts += [f'{counters} batch counters, 0'] if counters else []
    return '; '.join(parts) or 'nothing'


def _evaluation(backbone: Dict[str, Any], dst: Path) -> List[str]:
    """Describe how to evaluate an image classifier: with a config of this project if there is one."""
    config = _imagenet_config(backbone)
    if config:
        return ['', 'On ImageNet:', f'    python tools/test.py configs/classification/{config} {dst}']
    arguments = ', '.join(f'{key}={value!r}' for key, value in backbone.items())
    return ['', 'In a config of an ImageClassifier:', f'    backbone=dict({arguments}, out_indices=(3,))']


def _imagenet_config(backbone: Dict[str, Any]) -> str:
    """Return the name of the ImageNet config that has this backbone, or an empty string."""
    for family in FAMILIES:
        for name, arguments in family.imagenet_configs.items():
            if backbone == dict(type=family.name, **arguments):
                return name
    return ''


def _usage(conversion: Conversion, dst: Path, target: str) -> List[str]:
    backbone = dict(conversion.backbone)
    sizes = backbone.get('eca_kernel_sizes')
    if sizes and max(sizes) < 10:
        backbone['eca_kernel_sizes'] = ''.join(map(str, sizes))
    if conversion.detector:
        config = conversion.detector.config
        return [
            '',
            f'Its config: eca_mmdet::{config} with eca_kernel_sizes={backbone["eca_kernel_sizes"]!r}',
            'In Python:',
            f"    eca_mmdet.load_detector('{dst}')",
        ]
    python = ['In Python:', f"    eca_mmdet.load_backbone('{dst}')"]
    if target == 'mmpretrain':
        return [*(_evaluation(backbone, dst) if conversion.classifier else []), *python]
    if target != 'mmdet':
        return python
    arguments = ', '.join(f'{key}={value!r}' for key, value in backbone.items())
    return [
        '',
        'In a config:',
        '    backbone=dict(',
        f'        {arguments},',
        f"        init_cfg=dict(type='Pretrained', checkpoint='{dst}'))",
        *python,
    ]
