"""The ResNet family: its checkpoint formats, and how to derive arguments from tensor shapes.

Formats and their sources:

- official (BangguWu/ECANet, ``main.py``): torchvision's names and ``layerN.M.eca.conv.weight``. The
  prefix ``module.`` is removed when a checkpoint is read.
- timm (timm 1.0.31, ``timm/models/resnet.py``): ECA is ``layerN.M.se``, a deep stem is
  ``conv1.{0,1,3,4,6}`` and ``bn1``.
- MMPretrain (mmpretrain 1.2.0, ``backbones/resnet.py``): a deep stem is ``stem.N.conv`` and
  ``stem.N.bn``. The first ``downsample`` of a ResNetV1d has no pooling.

Arguments without effect on names and shapes cannot be derived: the position of the strides (``style``),
dilations, and the blur of timm's ``resnetblur`` and ``resnetaa``.
"""

from typing import Any, Dict, List, Mapping, Tuple

from torch import Tensor

from ..layers import RELEASED_KERNEL_SIZES
from .eca_resnet import ECAResNet
from .family import CLASSIFIER_TABLE, SE_ARGUMENTS, Family, SourceFormat, Table, TargetFormat, wrapped_format
from .kernel_sizes import HAS_ATTENTION, NO_ECA, KernelSizes, stage_kernel_sizes
from .variants import PRUNED_WIDTHS, VARIANTS
from .weights import se_attention, stage_sizes

_MAX_BLOCKS = 500  # per stage; the deepest known network has 48
_OFFICIAL_DEPTHS = (18, 34, 50, 101, 152)
_ECA, _TIMM_ECA, _TIMM_SE = (f'layer*.{name}.weight' for name in ('eca.conv', 'se.conv', 'se.fc1'))
_SE_TO_ECA = (r'^(layer\d+\.\d+)\.se\.conv\.weight$', r'\1.eca.conv.weight')
_MMPRETRAIN_STEM = tuple(
    (rf'^stem\.{block}\.{part}\.', f'stem.{3 * block + offset}.')
    for block in range(3)
    for offset, part in enumerate(('conv', 'bn'))
)
# Index 1 is renamed before index 0, so that no name is changed twice.
_FIRST_DOWNSAMPLE = tuple(
    (rf'^layer1\.0\.downsample\.{i}\.', f'layer1.0.downsample.{i + 1}.') for i in (1, 0)
)
# With pooling before it, the norm of a downsample has index 2 instead of 1.
_POOL, _FIRST_POOL = (f'backbone.layer{stage}.0.downsample.2.weight' for stage in (2, 1))


_TIMM_NETWORKS: Tuple[Tuple[str, Tuple[str, ...], Tuple[str, ...]], ...] = (
    ("timm's ECA-ResNet", (_TIMM_ECA,), (_ECA,)),
    ("timm's SE-ResNet", (_TIMM_SE,), (_ECA, _TIMM_ECA)),
    ("timm's plain ResNet", (), (_ECA, 'layer*.se.*')),
)
_TIMM_STEM = ((r'^conv1\.(\d+)\.', r'stem.\1.'), (r'^bn1\.', 'stem.7.'))


def _timm(title: str, has: Tuple[str, ...], lacks: Tuple[str, ...], has_deep_stem: bool) -> SourceFormat:
    stem = 'conv1.0.weight' if has_deep_stem else 'conv1.weight'
    table = (_SE_TO_ECA, *_TIMM_STEM) if has_deep_stem else (_SE_TO_ECA,)
    return SourceFormat('timm', title, (stem, *has), lacks, table=table)


def _mmpretrain(has: Tuple[str, ...] = (), lacks: Tuple[str, ...] = (), extra: Table = ()) -> SourceFormat:
    return wrapped_format('layer1.0.conv1.weight', has, lacks, (*_MMPRETRAIN_STEM, *extra))


SOURCES = (
    SourceFormat('official', 'official ECANet ImageNet', ('conv1.weight', _ECA), classifier=True),
    *(_timm(*network, has_deep_stem=True) for network in _TIMM_NETWORKS),
    *(_timm(*network, has_deep_stem=False) for network in _TIMM_NETWORKS[:2]),
    SourceFormat(
        'plain',
        'plain ResNet of torchvision or timm',
        ('conv1.weight', 'layer1.*'),
        lacks=('layer*.eca.*', 'layer*.se.*'),
    ),
    _mmpretrain(lacks=(_POOL,)),
    _mmpretrain(has=(_POOL, _FIRST_POOL)),
    _mmpretrain(has=(_POOL,), lacks=(_FIRST_POOL,), extra=_FIRST_DOWNSAMPLE),
    SourceFormat('mmdet', 'mmdet backbone', ('conv1.weight', _ECA), classifier=False),
    SourceFormat('mmdet', 'mmdet backbone', ('stem.0.weight', 'layer1.*')),
)


def read_arguments(tensors: Mapping[str, Tensor], eca_kernel_sizes: KernelSizes = None) -> Dict[str, Any]:
    """Derive the arguments of an ``ECAResNet`` from the shapes of its tensors.

    Args:
        tensors: The tensors of the backbone under mmdet's names.
        eca_kernel_sizes: Kernel sizes for a plain network; ``None`` for those of the depth, ``NO_ECA`` to
            leave it plain.

    Returns:
        ``depth``, ``eca_kernel_sizes`` or ``attention``, and every argument that differs from its
        default.

    Raises:
        ValueError: If the tensors are not those of a ResNet with four stages, a stage has several
            kernel sizes, or kernel sizes are given for a network that already has an attention.
    """
    is_bottleneck = 'layer1.0.conv3.weight' in tensors
    blocks = _blocks(tensors, is_bottleneck)
    depth = _depth(blocks, is_bottleneck)
    arguments = dict(depth=depth, **_attention(tensors, depth, eca_kernel_sizes))
    if blocks != ECAResNet.arch_settings[depth][1]:
        arguments['stage_blocks'] = blocks
    arguments.update(_stem(tensors))
    if 'layer2.0.downsample.2.weight' in tensors:
        arguments['avg_down'] = True
    if is_bottleneck:
        arguments.update(_widths(tensors, blocks))
    return arguments


def describe(backbone: Mapping[str, Any]) -> str:
    """Describe the config of a backbone in words."""
    options = dict(backbone)
    if options.get('attention') == 'none':
        name, shown = 'ResNet', ['no attention']
    elif 'attention' in options:
        name, shown = 'SE-ResNet', [f'attention={options["attention"]}']
    else:
        options['eca_kernel_sizes'] = ''.join(map(str, options['eca_kernel_sizes']))
        name, shown = 'ECA-ResNet', [f'kernel sizes {options["eca_kernel_sizes"]}']
        for variant, arguments in VARIANTS.items():
            if options == dict(type='ECAResNet', **arguments):
                return f'{name}-{backbone["depth"]} (timm {variant}), {shown[0]}'
    usual = ('type', 'depth', 'eca_kernel_sizes', 'attention')
    shown += [
        f'{key}={"..." if key == "block_widths" else value}'
        for key, value in options.items()
        if key not in usual
    ]
    return f'{name}-{backbone["depth"]}, {", ".join(shown)}'


def _blocks(tensors: Mapping[str, Tensor], is_bottleneck: bool) -> Tuple[int, ...]:
    found = {(part.stage, part.block) for part in map(RESNET.split, tensors) if part and not part.prefix}
    blocks = tuple(sum(stage == number for stage, _ in found) for number in range(1, 5))
    if min(blocks) == 0 or max(blocks) > _MAX_BLOCKS:
        block = 'bottleneck' if is_bottleneck else 'basic'
        raise ValueError(
            f'not a ResNet of four stages: it has {blocks} {block} blocks in layer1 to layer4; '
            f'its first names are {sorted(tensors)[:3]}'
        )
    return blocks


def _depth(blocks: Tuple[int, ...], is_bottleneck: bool) -> int:
    """Return the depth with these blocks, or a depth that ``stage_blocks`` can adapt to them."""
    for depth, (block, usual) in ECAResNet.arch_settings.items():
        if usual == blocks and (block.expansion == 4) == is_bottleneck:
            return depth
    return 50 if is_bottleneck else 18


def _attention(tensors: Mapping[str, Tensor], depth: int, eca_kernel_sizes: KernelSizes) -> Dict[str, Any]:
    found = stage_sizes(tensors, RESNET)
    se = se_attention(tensors)
    if eca_kernel_sizes not in (None, NO_ECA) and (found or se):
        raise ValueError(HAS_ATTENTION)
    if se:
        return dict(attention=se)
    if not found and eca_kernel_sizes == NO_ECA:
        return dict(attention='none')
    if not found:
        stage_channels = [64 * 2**i * ECAResNet.arch_settings[depth][0].expansion for i in range(4)]
        found = list(stage_kernel_sizes(eca_kernel_sizes, stage_channels, RELEASED_KERNEL_SIZES[depth]))
    return dict(eca_kernel_sizes=found)


def _stem(tensors: Mapping[str, Tensor]) -> Dict[str, Any]:
    if 'stem.0.weight' not in tensors:
        width = _shape(tensors, 'conv1.weight')[0]
        return {} if width == 64 else dict(stem_channels=width)
    widths = tuple(_shape(tensors, f'stem.{index}.weight')[0] for index in (0, 3, 6))
    if widths == (32, 32, 64):
        return dict(deep_stem=True)
    return dict(deep_stem=True, stem_channels=widths)


def _widths(tensors: Mapping[str, Tensor], blocks: Tuple[int, ...]) -> Dict[str, Any]:
    """Derive the groups of a ResNeXt, or ``block_widths`` if the widths are not the usual ones."""
    width, inner = _shape(tensors, 'layer1.0.conv2.weight')[:2]
    groups = width // inner
    if groups > 1:
        base_width = width // groups
        return dict(groups=groups) if base_width == 4 else dict(groups=groups, base_width=base_width)
    widths = tuple(
        tuple(
            tuple(_shape(tensors, f'layer{stage}.{block}.conv{i}.weight')[0] for i in (1, 2, 3))
            for block in range(count)
        )
        for stage, count in enumerate(blocks, 1)
    )
    usual = [{(planes, planes, 4 * planes)} for planes in (64, 128, 256, 512)]
    if [set(stage) for stage in widths] == usual:
        return {}
    named: List[Any] = [name for name, known in PRUNED_WIDTHS.items() if known == widths]
    return dict(block_widths=named[0] if named else widths)


def _shape(tensors: Mapping[str, Tensor], name: str) -> Tuple[int, ...]:
    if name not in tensors:
        raise ValueError(f"the checkpoint must hold a whole ResNet: missing ['{name}']")
    shape = tuple(tensors[name].shape)
    if len(shape) != 4 or 0 in shape:
        raise ValueError(f'{name} has shape {shape}, but must be the weight of a 2D convolution')
    return shape


def _check_official(backbone: Mapping[str, Any]) -> None:
    extras = {k: v for k, v in backbone.items() if k not in ('type', 'depth', 'eca_kernel_sizes')}
    if extras or backbone['depth'] not in _OFFICIAL_DEPTHS:
        raise ValueError(
            f'the official format has only depths {_OFFICIAL_DEPTHS}, a 7x7 stem and strided convolutions as '
            f'downsample; this network has depth {backbone["depth"]} and {", ".join(extras) or "no extras"}: '
            'use --to timm or --to mmdet'
        )


def _check_timm(backbone: Mapping[str, Any]) -> None:
    if 'stem_channels' in backbone and not backbone.get('deep_stem'):
        raise ValueError(
            f"a plain stem of {backbone['stem_channels']} channels: timm's has 64; use --to mmdet"
        )


def _imagenet_configs(depth: int) -> Dict[str, Dict[str, Any]]:
    sizes = ''.join(map(str, RELEASED_KERNEL_SIZES[depth]))
    return {
        f'ecanet{depth}_imagenet.py': dict(depth=depth, eca_kernel_sizes=sizes),
        f'senet{depth}_imagenet.py': dict(depth=depth, **SE_ARGUMENTS),
        f'resnet{depth}_imagenet.py': dict(depth=depth, attention='none'),
    }


RESNET = Family(
    backbone=ECAResNet,
    block=r'layer(\d+)\.\d+',
    plain_layers=r'[a-z]+\d\w*|downsample',  # conv1, bn1 (gn1, ...), conv2_offset, downsample
    stages=4,
    read_arguments=read_arguments,
    describe=describe,
    attentions=('eca', 'se'),
    sources=SOURCES,
    targets={
        'official': TargetFormat(((r'^', 'module.'),), _check_official),
        'mmpretrain': TargetFormat(CLASSIFIER_TABLE),
        'timm': TargetFormat(
            (
                (r'^(layer\d+\.\d+)\.eca\.', r'\1.se.'),
                (r'^stem\.7\.', 'bn1.'),
                (r'^stem\.', 'conv1.'),
            ),
            _check_timm,
        ),
    },
    variants={**{str(depth): dict(depth=depth) for depth in ECAResNet.arch_settings}, **VARIANTS},
    imagenet_configs={
        name: arguments for depth in _OFFICIAL_DEPTHS for name, arguments in _imagenet_configs(depth).items()
    },
)
