"""ResNet with efficient channel attention (ECA-Net, arXiv 1910.03151).

ECA follows the last convolution and norm of every residual block and precedes
the addition, where SENet has its block (paper, section 4).
The network is mmdet's ``ResNet``: a ``Bottleneck`` takes ECA as its
first ``after_conv3`` plugin, and ``ECABasicBlock`` gives ``BasicBlock`` the same
place. State-dict names are those of the released weights.
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
        plugins: Exactly the one attention plugin that ``ECAResNet`` adds;
            mmdet's basic block takes no others.
        **kwargs: Arguments of mmdet's ``BasicBlock``.

    Raises:
        ValueError: If there are other plugins.
    """

    def __init__(self, inplanes: int, planes: int, plugins: Optional[List[dict]] = None, **kwargs) -> None:
        super().__init__(inplanes, planes, **kwargs)
        if plugins is None or len(plugins) != 1:
            raise ValueError(
                'depths 18 and 34 take no plugins (as in mmdet, whose basic block has none), '
                f'got {(plugins or [])[1:]}; remove `plugins` or use depth 50, 101 or 152'
            )
        self.attention_name, layer = build_plugin_layer(plugins[0]['cfg'], in_channels=planes)
        self.add_module(self.attention_name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inplanes, H, W)`` to ``(N, planes, H / stride, W / stride)``."""
        if self.with_cp and x.requires_grad:
            # The re-entrant variant keeps the behaviour of mmdet's blocks.
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
    """mmdet's ResNet with channel attention after the last conv and norm of every block.

    Registered in mmengine's root registry, where mmdet, MMSegmentation and
    MMPretrain find it as ``type='ECAResNet'``. The arguments below also state the
    ECA-ResNets of timm; ``variants.py`` lists them by name.

    Args:
        depth: 18, 34, 50, 101 or 152; 26, 200 or 269 as in timm.
        eca_kernel_sizes: One odd integer, one per stage, a string such as
            ``'3557'``, ``'adaptive'`` (paper, eq. 12, on each block's output
            channels), or ``None`` for the released sizes of the depth:
            18: 3577, 50: 3557, 34, 101 and 152: 3357, the others 5557.
        attention: What stands in the place of ECA: a name of
            ``eca_mmdet.layers.ATTENTIONS`` (``'none'`` is the plain ResNet), or the
            config of a registered layer that takes ``in_channels``. ECA-NS has the
            kernel sizes of ECA, the others none.
        stage_blocks: Blocks per stage, or ``None`` for those of the depth.
        stem_channels: Output channels of the stem; with ``deep_stem`` also those of its
            three convolutions, such as ``(24, 32, 64)`` (timm's "tiered" stem).
        groups: Groups of the 3x3 convolutions (ResNeXt), for bottlenecks only.
        base_width: Width of one group at 64 planes (ResNeXt).
        block_widths: Output channels of the three convolutions of every block, per stage,
            for pruned networks: ``(((47, 18, 19), (52, 22, 19), ...), ...)``, or the name of one
            in ``variants.py``: ``'ecaresnet50d_pruned'``.
        plugins: As in mmdet; those at ``after_conv3`` run after the attention.
        fast: Whether to use the fused forward pass (``eca_mmdet.fused``); the values are the same.
        channels_last: Memory format inside the fused pass, ``None`` for ``channels_last`` on a CPU.
            The features are contiguous; ``True`` returns them in ``channels_last``, which mmcv's
            operators read wrongly.
        compile: Whether ``torch.compile`` compiles it, once for all image sizes (``compiled.py``).
        triton: Whether Triton kernels compute the ends of the blocks on CUDA (``fused/tail_triton.py``);
            their speed has not been measured.
        **kwargs: All other arguments of mmdet's ``ResNet``, unchanged.

    Raises:
        KeyError: If the depth is none of these.
        ValueError: If another argument is not one of the allowed forms, or a
            checkpoint with other sizes or another attention is loaded.

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
        # mmdet looks both up by depth; this instance may differ from its depth's usual form.
        self.arch_settings = {depth: (block, check_stage_blocks(stage_blocks, num_stages) or blocks)}
        # mmdet zeroes the last norm only of its own two block classes, and only without other
        # initialisation, so the other blocks ask for it themselves (see make_res_layer).
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
        """Channels of the features at ``out_indices``: the ``in_channels`` of a neck."""
        if self._block_widths:
            return tuple(self._block_widths[i][-1][-1] for i in self.out_indices)
        return tuple(self.base_channels * 2**i * self.block.expansion for i in self.out_indices)

    def make_stage_plugins(self, plugins: List[dict], stage_idx: int) -> List[dict]:
        """Put the stage's attention before the plugins that the user asked for."""
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
            kwargs['plugins'] = None  # mmdet's basic block refuses even an empty list
        if self._zero_init:
            last = 'norm3' if kwargs['block'].expansion == 4 else 'norm2'
            kwargs['init_cfg'] = dict(type='Constant', val=0, override=dict(name=last))
        layer = super().make_res_layer(**kwargs)
        if self._block_widths:
            stage = len(self.res_layers)
            inplanes = self._block_widths[stage - 1][-1][-1] if stage else self.stem_channels
            resize_blocks(layer, inplanes, self._block_widths[stage])
        return layer
