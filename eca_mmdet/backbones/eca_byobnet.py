"""The ECA networks of timm's ByobNet: ``eca_resnet33ts`` and ``eca_resnext26ts``.

They are ResNets with SiLU and a deep stem of 24, 32 and 64 channels. ECA comes before the last
convolution of a block, on the inner channels. Source: timm 1.0.31, ``timm/models/byobnet.py``.

The state_dict has the names of a ResNet; ECA is named ``layerN.M.eca_mid``.
"""

import re
from typing import Any, Dict, Iterator, List, Mapping, NamedTuple, Sequence, Tuple, Union

from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers import attention_config, sized_attention
from ..layers.residual_blocks import Bottleneck
from .checked_weights import CheckedWeights
from .family import CLASSIFIER, CLASSIFIER_TABLE, Family, SourceFormat, Table, TargetFormat, wrapped_format
from .kernel_sizes import HAS_ATTENTION, NO_ECA, KernelSizes, stage_kernel_sizes
from .resnet import ResNet
from .weights import stage_sizes

STEM_CHANNELS = (24, 32, 64)
_POSTFIX = '_mid'
_NORM = ('weight', 'bias', 'running_mean', 'running_var', 'num_batches_tracked')


class Variant(NamedTuple):
    """The properties in which the networks differ."""

    blocks: Tuple[int, ...]
    channels: Tuple[int, ...]  # output channels of the stages, four times the inner channels
    group_size: int  # channels per group of the 3x3 convolutions; 0 for no groups
    has_pool: bool  # has max pooling after the stem; otherwise the stem's last convolution has stride 2


VARIANTS = {
    'eca_resnet33ts': Variant((2, 3, 3, 2), (256, 512, 1536, 1536), 0, has_pool=False),
    'eca_resnext26ts': Variant((2, 2, 2, 2), (256, 512, 1024, 2048), 32, has_pool=True),
}


class SiLUBottleneck(Bottleneck):
    """Bottleneck with SiLU."""

    activation = nn.SiLU


@MODELS.register_module()
class ECAByobNet(CheckedWeights, ResNet):
    """timm's ``eca_resnet33ts`` or ``eca_resnext26ts`` as a backbone.

    Args:
        variant: ``'eca_resnet33ts'`` or ``'eca_resnext26ts'``.
        eca_kernel_sizes: As in ``ECAResNet``; ``None`` for the released sizes 3, 5, 5, 5, which are
            those of eq. 12 (arXiv 1910.03151) on the inner channels.
        attention: The layer in ECA's place, as in ``ECAResNet``.
        **kwargs: Other arguments of ``ResNet``, such as ``frozen_stages`` or ``out_indices``.

    Raises:
        ValueError: If an argument has a value that is not allowed, or if a checkpoint of another
            network is loaded.

    Examples:
        >>> backbone = ECAByobNet('eca_resnet33ts')
        >>> [tuple(f.shape) for f in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 256, 16, 16), (1, 512, 8, 8), (1, 1536, 4, 4), (1, 1536, 2, 2)]
    """

    def __init__(
        self,
        variant: str,
        eca_kernel_sizes: KernelSizes = None,
        attention: Union[str, dict, None] = 'eca',
        **kwargs,
    ) -> None:
        if variant not in VARIANTS:
            raise ValueError(f'variant={variant!r}: allowed are {", ".join(map(repr, VARIANTS))}')
        self.variant = VARIANTS[variant]
        self.attention = attention_config(attention)
        inner = [channels // 4 for channels in self.variant.channels]
        self.eca_kernel_sizes = stage_kernel_sizes(
            'adaptive' if eca_kernel_sizes is None else eca_kernel_sizes, inner
        )
        super().__init__(
            SiLUBottleneck, self.variant.blocks, deep_stem=True, stem_channels=STEM_CHANNELS, **kwargs
        )
        if not self.variant.has_pool:
            self.maxpool = nn.Identity()

    def make_stage_plugins(self, plugins: Sequence[dict], stage: int) -> List[dict]:
        """Insert the attention after the second convolution of every block of a stage."""
        selected = super().make_stage_plugins(plugins, stage)
        if self.attention is None:
            return selected
        cfg = sized_attention(self.attention, self.eca_kernel_sizes[stage])
        return [dict(cfg=dict(cfg, postfix=_POSTFIX), position='after_conv2'), *selected]

    def stage_planes(self, stage: int) -> int:
        """Planes of a stage, counted from 0."""
        return self.variant.channels[stage] // 4

    def block_options(self, stage: int, index: int) -> Dict[str, Any]:
        """The groups of the 3x3 convolution."""
        planes, group_size = self.stage_planes(stage), self.variant.group_size
        if not group_size:
            return {}
        return dict(groups=planes // group_size, base_width=group_size, base_channels=planes)

    def _deep_stem_strides(self) -> Tuple[int, int, int]:
        return (2, 1, 1) if self.variant.has_pool else (2, 1, 2)


def read_arguments(tensors: Mapping[str, Tensor], eca_kernel_sizes: KernelSizes = None) -> Dict[str, Any]:
    """Derive the arguments of an ``ECAByobNet`` from the shapes of its tensors.

    Args:
        tensors: The tensors of the backbone under mmdet's names.
        eca_kernel_sizes: Must be ``None``, since these networks always have ECA.

    Raises:
        ValueError: If the tensors match none of ``VARIANTS``, or if kernel sizes are given.
    """
    if eca_kernel_sizes not in (None, NO_ECA):
        raise ValueError(HAS_ATTENTION)
    parts = [part for part in map(BYOBNET.split, tensors) if part and not part.prefix]
    found = {(part.stage, part.block) for part in parts}
    blocks = tuple(sum(stage == number for stage, _ in found) for number in range(1, 5))
    for name, variant in VARIANTS.items():
        width = _shape(tensors, 'layer1.0.conv2.weight')[1]
        if variant.blocks == blocks and (variant.group_size or variant.channels[0] // 4) == width:
            return dict(variant=name, eca_kernel_sizes=stage_sizes(tensors, BYOBNET))
    raise ValueError(f'of ByobNet, only {", ".join(VARIANTS)} can be converted; this one has {blocks} blocks')


def describe(backbone: Mapping[str, Any]) -> str:
    """Describe the config of a backbone in words."""
    sizes = ''.join(map(str, backbone['eca_kernel_sizes']))
    return f'ECA-ByobNet (timm {backbone["variant"]}), kernel sizes {sizes}'


def _shape(tensors: Mapping[str, Tensor], name: str) -> Tuple[int, ...]:
    if name not in tensors or tensors[name].dim() != 4:
        raise ValueError(f'{name} is missing, or is not the weight of a 2D convolution')
    return tuple(tensors[name].shape)


def _modules() -> Iterator[Tuple[str, str]]:
    """Yield timm's name and mmdet's name of every module with tensors; ``*`` stands for a block index."""
    parts = ('conv', 'bn')
    for number in (1, 2, 3):
        yield from (
            (f'stem.conv{number}.{part}', f'stem.{3 * number - 3 + i}') for i, part in enumerate(parts)
        )
    for stage in range(4):
        theirs, ours = f'stages.{stage}.*', f'layer{stage + 1}.*'
        for number, name in enumerate(('conv1_1x1', 'conv2_kxk', 'conv3_1x1'), 1):
            yield from ((f'{theirs}.{name}.{part}', f'{ours}.{part}{number}') for part in parts)
        yield from ((f'{theirs}.shortcut.{part}', f'{ours}.downsample.{i}') for i, part in enumerate(parts))
        yield f'{theirs}.attn', f'{ours}.eca{_POSTFIX}'
    yield 'head.fc', 'fc'


def _table(pairs: Iterator[Tuple[str, str]]) -> Table:
    return tuple(
        (f'^{re.escape(old)}'.replace(r'\*', r'(\d+)') + r'\.', new.replace('*', r'\1') + '.')
        for old, new in pairs
    )


def _check_classifier(backbone: Mapping[str, Any]) -> None:
    if backbone['variant'] == 'eca_resnet33ts':
        raise ValueError(
            "eca_resnet33ts has a convolution before its classifier, which MMPretrain's ImageClassifier has "
            'not: use --to timm or --to mmdet'
        )


BYOBNET = Family(
    backbone=ECAByobNet,
    block=r'layer(\d+)\.\d+',
    plain_layers=r'[a-z]+\d\w*|downsample',
    stages=4,
    read_arguments=read_arguments,
    describe=describe,
    attentions=(f'eca{_POSTFIX}',),
    eca=f'eca{_POSTFIX}',
    sources=(
        SourceFormat('timm', "timm's ByobNet", ('stages.0.0.attn.conv.weight',), table=_table(_modules())),
        wrapped_format(f'layer1.0.eca{_POSTFIX}.conv.weight'),
        SourceFormat('mmdet', 'mmdet backbone', (f'layer1.0.eca{_POSTFIX}.conv.weight',)),
    ),
    targets={
        'timm': TargetFormat(_table((ours, theirs) for theirs, ours in _modules())),
        'mmpretrain': TargetFormat(CLASSIFIER_TABLE, _check_classifier),
    },
    # eca_resnet33ts has another convolution between the backbone and the classifier.
    classifier=(
        *(f'final_conv.{name}' for name in ('conv.weight', *(f'bn.{n}' for n in _NORM))),
        *CLASSIFIER,
    ),
    variants={name: dict(variant=name) for name in VARIANTS},
)
