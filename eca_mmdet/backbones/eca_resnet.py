"""ResNet with efficient channel attention (ECA-Net, arXiv 1910.03151).

ECA comes after the last convolution and norm of every residual block, before the addition, as in SENet
(paper, section 4). The network is mmdet's ``ResNet``. In a ``Bottleneck``, ECA is the first plugin at
``after_conv3``; mmdet's ``BasicBlock`` has no plugins, so ``ECABasicBlock`` adds ECA itself. The names
in the state_dict are those of the released weights.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch.utils.checkpoint as cp
from mmcv.cnn import build_plugin_layer
from mmdet.models.backbones import ResNet
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from mmdet.models.backbones.resnext import Bottleneck as GroupedBottleneck
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..fused import FusedForward
from ..layers import RELEASED_KERNEL_SIZES, attention_config, sized_attention
from .checked_weights import CheckedWeights
from .compiled import Compiled, require_compiler, require_triton
from .kernel_sizes import KernelSizes, stage_kernel_sizes
from .widths import (
    BlockWidths,
    check_block_widths,
    check_stage_blocks,
    resize_blocks,
    resize_stem,
    stem_widths,
)


class ECABasicBlock(BasicBlock):
    """mmdet's ``BasicBlock`` with attention after ``norm2``, on ``planes`` channels.

    Args:
        inplanes: Input channels.
        planes: Output channels.
        plugins: A list with only the attention, as ``ECAResNet`` passes it. mmdet's ``BasicBlock``
            supports no plugins.
        **kwargs: Arguments of mmdet's ``BasicBlock``.

    Raises:
        ValueError: If there are other plugins, or none.
    """

    def __init__(self, inplanes: int, planes: int, plugins: Optional[List[dict]] = None, **kwargs) -> None:
        super().__init__(inplanes, planes, **kwargs)
        if plugins is None or len(plugins) != 1:
            raise ValueError(
                f'depths 18 and 34 take no plugins, as in mmdet, but got {(plugins or [])[1:]}; '
                'remove `plugins`, or use depth 50, 101 or 152'
            )
        self.attention_name, layer = build_plugin_layer(plugins[0]['cfg'], in_channels=planes)
        self.add_module(self.attention_name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inplanes, H, W)`` to ``(N, planes, H / stride, W / stride)``."""
        if self.with_cp and x.requires_grad:
            # mmdet's own blocks use the re-entrant variant too.
            out = cp.checkpoint(self._residual, x, use_reentrant=True)
        else:
            out = self._residual(x)
        return self.relu(out)

    def _residual(self, x: Tensor) -> Tensor:
        out = self.relu(self.norm1(self.conv1(x)))
        out = getattr(self, self.attention_name)(self.norm2(self.conv2(out)))
        return out + (x if self.downsample is None else self.downsample(x))


@MODELS.register_module()
class ECAResNet(CheckedWeights, FusedForward, ResNet):
    """mmdet's ResNet with channel attention after the last convolution and norm of every block.

    It is registered in mmengine's root registry, so that mmdet, MMSegmentation and MMPretrain can
    build it with ``type='ECAResNet'``. It can also build timm's ECA-ResNets; ``variants.py`` lists
    their arguments.

    Args:
        depth: 18, 34, 50, 101 or 152, or one of timm's depths 26, 200 and 269.
        eca_kernel_sizes: One odd integer for all stages; one per stage, as a sequence or a string
            such as ``'3557'``; ``'adaptive'`` (paper, eq. 12, on each block's output channels); or
            ``None`` for the released sizes of the depth: 3577 for 18, 3557 for 50, 3357 for 34, 101
            and 152, and 5557 for the others.
        attention: The layer in ECA's place: a name in ``eca_mmdet.layers.ATTENTIONS`` (``'none'``
            gives the plain ResNet), or the config of a registered layer with an argument
            ``in_channels``. Only ECA and ECA-NS use ``eca_kernel_sizes``.
        stage_blocks: Blocks per stage, or ``None`` for those of the depth.
        stem_channels: Output channels of the stem. With ``deep_stem``, a sequence sets those of its
            three convolutions, such as ``(24, 32, 64)`` (timm's "tiered" stem).
        groups: Groups of the 3x3 convolutions (ResNeXt), for bottlenecks only.
        base_width: Width of one group at 64 planes (ResNeXt).
        block_widths: Output channels of the three convolutions of every block, per stage, for pruned
            networks: ``(((47, 18, 19), (52, 22, 19), ...), ...)``, or a name in ``PRUNED_WIDTHS`` of
            ``variants.py``, such as ``'ecaresnet50d_pruned'``.
        base_channels: Inner channels of the first stage; each further stage doubles them.
        num_stages: Number of stages.
        plugins: As in mmdet; those at ``after_conv3`` run after the attention.
        fast: Whether to use the fused forward pass (``eca_mmdet.fused``), which gives the same values.
        channels_last: Whether the fused forward pass computes in ``channels_last``; ``None`` does so on
            a CPU only. With ``True`` the returned features are in ``channels_last`` too, which mmcv's
            operators read incorrectly; otherwise they are contiguous.
        compile: Whether to compile the backbone with ``torch.compile``, once for all image sizes.
        triton: Whether to compute block tails with Triton kernels on CUDA (``fused/tail_triton.py``).
            Their speed has not been measured.
        **kwargs: Other arguments of mmdet's ``ResNet``.

    Raises:
        KeyError: If the depth is not one of the above.
        ValueError: If another argument has a value that is not allowed, or if a checkpoint of another
            network is loaded.

    Examples:
        >>> backbone = ECAResNet(depth=50)
        >>> [tuple(f.shape) for f in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 256, 16, 16), (1, 512, 8, 8), (1, 1024, 4, 4), (1, 2048, 2, 2)]
    """

    basic_blocks = (BasicBlock, ECABasicBlock)
    arch_settings: Dict[int, Tuple[Any, Tuple[int, ...]]] = {
        18: (ECABasicBlock, (2, 2, 2, 2)),
        26: (Bottleneck, (2, 2, 2, 2)),
        34: (ECABasicBlock, (3, 4, 6, 3)),
        50: (Bottleneck, (3, 4, 6, 3)),
        101: (Bottleneck, (3, 4, 23, 3)),
        152: (Bottleneck, (3, 8, 36, 3)),
        200: (Bottleneck, (3, 24, 36, 3)),
        269: (Bottleneck, (3, 30, 48, 8)),
    }

    def __init__(
        self,
        depth: int,
        eca_kernel_sizes: KernelSizes = None,
        attention: Union[str, dict] = 'eca',
        stage_blocks: Optional[Sequence[int]] = None,
        stem_channels: Union[int, Sequence[int], None] = None,
        groups: int = 1,
        base_width: int = 4,
        block_widths: Optional[BlockWidths] = None,
        base_channels: int = 64,
        num_stages: int = 4,
        plugins: Optional[List[dict]] = None,
        fast: bool = True,
        channels_last: Optional[bool] = None,
        compile: bool = False,
        triton: bool = False,
        **kwargs,
    ) -> None:
        self.fast, self.channels_last, self.triton = fast, channels_last, triton
        if triton:
            require_triton()
        if compile:
            require_compiler()
            self.compiled = Compiled(FusedForward.compilable_forward)
        if depth not in self.arch_settings:
            raise KeyError(f'ECAResNet has depths {sorted(self.arch_settings)}, got {depth!r}')
        block, blocks = self.arch_settings[depth]
        self.attention = attention_config(attention)
        self.eca_kernel_sizes = stage_kernel_sizes(
            eca_kernel_sizes,
            stage_channels=[base_channels * 2**i * block.expansion for i in range(num_stages)],
            default=RELEASED_KERNEL_SIZES[depth],
        )
        self._stem_widths = stem_widths(stem_channels, kwargs.get('deep_stem', False))
        self._block_widths = check_block_widths(block_widths, stage_blocks or blocks, attention)
        self._group_options = dict(groups=groups, base_width=base_width, base_channels=base_channels)
        if groups != 1:
            if block is not Bottleneck:
                raise ValueError(f'groups={groups} needs bottlenecks; depths 18 and 34 have basic blocks')
            block = GroupedBottleneck
        elif block is ECABasicBlock and self.attention is None:
            block = BasicBlock
        # mmdet reads block and blocks by depth from arch_settings.
        self.arch_settings = {depth: (block, check_stage_blocks(stage_blocks, num_stages) or blocks)}
        # With zero_init_residual, mmdet zeroes the last norm in its own two block classes only.
        # make_res_layer does it for the others, under the same conditions.
        self._zero_init = (
            block not in (BasicBlock, Bottleneck)
            and kwargs.get('zero_init_residual', True)
            and not kwargs.get('init_cfg')
            and kwargs.get('pretrained') is None
        )
        super().__init__(
            depth,
            stem_channels=self._stem_widths[-1] if self._stem_widths else stem_channels,
            base_channels=base_channels,
            num_stages=num_stages,
            plugins=plugins or (),
            **kwargs,
        )

    def train(self, mode: bool = True) -> nn.Module:
        """Set the mode as mmdet does; return the module, as torch does."""
        super().train(mode)
        return self

    @property
    def out_channels(self) -> Tuple[int, ...]:
        """Channels of the returned features, for the ``in_channels`` of a neck."""
        if self._block_widths:
            return tuple(self._block_widths[i][-1][-1] for i in self.out_indices)
        return tuple(self.base_channels * 2**i * self.block.expansion for i in self.out_indices)

    def make_stage_plugins(self, plugins: List[dict], stage_idx: int) -> List[dict]:
        """Insert the attention of a stage before the other plugins."""
        plugins = super().make_stage_plugins(plugins, stage_idx)
        if self.attention is None:
            return plugins
        cfg = sized_attention(self.attention, self.eca_kernel_sizes[stage_idx])
        return [dict(cfg=cfg, position='after_conv3')] + plugins

    def _make_stem_layer(self, in_channels: int, stem_channels: int) -> None:
        super()._make_stem_layer(in_channels, stem_channels)
        if self._stem_widths:
            resize_stem(self.stem, self._stem_widths)

    def make_res_layer(self, **kwargs):
        """Build one stage."""
        if kwargs['block'] is GroupedBottleneck:
            kwargs.update(self._group_options)
        if kwargs['block'] is BasicBlock and not kwargs['plugins']:
            kwargs['plugins'] = None  # mmdet's basic block rejects even an empty list
        if self._zero_init:
            last_norm = 'norm3' if kwargs['block'].expansion == 4 else 'norm2'
            kwargs['init_cfg'] = dict(type='Constant', val=0, override=dict(name=last_norm))
        stage = super().make_res_layer(**kwargs)
        if self._block_widths:
            index = len(self.res_layers)
            inplanes = self._block_widths[index - 1][-1][-1] if index else self.stem_channels
            resize_blocks(stage, inplanes, self._block_widths[index])
        return stage
