"""ResNet with efficient channel attention (ECA-Net, arXiv 1910.03151).

ECA comes after the last convolution and norm of every residual block, before the addition, as in SENet
(paper, section 4). It is the first plugin at this position. The names in the state_dict are those of the
released weights.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Type, Union

from mmengine.registry import MODELS

from ..fused import FusedForward
from ..layers import RELEASED_KERNEL_SIZES, attention_config, sized_attention
from ..layers.residual_blocks import BasicBlock, Bottleneck, ResidualBlock
from .checked_weights import CheckedWeights
from .compiled import Compiled, require_compiler, require_triton
from .kernel_sizes import KernelSizes, stage_kernel_sizes
from .resnet import ResNet
from .widths import BlockWidths, check_block_widths, check_stage_blocks, check_stem_channels


@MODELS.register_module()
class ECAResNet(CheckedWeights, FusedForward, ResNet):
    """ResNet with channel attention after the last convolution and norm of every block.

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
        plugins: As in mmdet, for bottlenecks; those at ``after_conv3`` run after the attention.
        fast: Whether to use the fused forward pass (``eca_mmdet.fused``), which gives the same values.
        channels_last: Whether the fused forward pass computes in ``channels_last``; ``None`` does so on
            a CPU only. With ``True`` the returned features are in ``channels_last`` too, which mmcv's
            operators read incorrectly; otherwise they are contiguous.
        compile: Whether to compile the backbone with ``torch.compile``, once for all image sizes.
        triton: Whether to compute block tails with Triton kernels on CUDA (``fused/tail_triton.py``).
            Their speed has not been measured.
        **kwargs: Other arguments of ``ResNet``, which are those of the classes of mmdet and MMSegmentation.

    Raises:
        KeyError: If the depth is not one of the above.
        ValueError: If another argument has a value that is not allowed, or if a checkpoint of another
            network is loaded.

    Examples:
        >>> backbone = ECAResNet(depth=50)
        >>> [tuple(f.shape) for f in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 256, 16, 16), (1, 512, 8, 8), (1, 1024, 4, 4), (1, 2048, 2, 2)]
    """

    arch_settings: Dict[int, Tuple[Type[ResidualBlock], Tuple[int, ...]]] = {
        18: (BasicBlock, (2, 2, 2, 2)),
        26: (Bottleneck, (2, 2, 2, 2)),
        34: (BasicBlock, (3, 4, 6, 3)),
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
        plugins: Optional[Sequence[dict]] = None,
        fast: bool = True,
        channels_last: Optional[bool] = None,
        compile: bool = False,
        triton: bool = False,
        **kwargs,
    ) -> None:
        self.depth = depth
        self.fast, self.channels_last, self.triton = fast, channels_last, triton
        if triton:
            require_triton()
        if compile:
            require_compiler()
            self.compiled = Compiled(FusedForward.compilable_forward)
        if depth not in self.arch_settings:
            raise KeyError(f'ECAResNet has depths {sorted(self.arch_settings)}, got {depth!r}')
        block, blocks = self.arch_settings[depth]
        if block is BasicBlock and (groups != 1 or plugins):
            found = f'groups={groups}' if groups != 1 else f'plugins={plugins}'
            raise ValueError(
                f'depths 18 and 34 take no plugins and no groups, as in mmdet, but got {found}; remove the '
                'option, or use depth 50, 101 or 152'
            )
        self.attention = attention_config(attention)
        self.eca_kernel_sizes = stage_kernel_sizes(
            eca_kernel_sizes,
            stage_channels=[base_channels * 2**i * block.expansion for i in range(num_stages)],
            default=RELEASED_KERNEL_SIZES[depth],
        )
        check_stem_channels(stem_channels, kwargs.get('deep_stem', False))
        self._block_widths = check_block_widths(block_widths, stage_blocks or blocks, attention)
        self._groups = dict(groups=groups, base_width=base_width, base_channels=base_channels)
        super().__init__(
            block,
            check_stage_blocks(stage_blocks, num_stages) or blocks,
            stem_channels=stem_channels,
            base_channels=base_channels,
            num_stages=num_stages,
            plugins=plugins,
            **kwargs,
        )

    def make_stage_plugins(self, plugins: Sequence[dict], stage: int) -> List[dict]:
        """Insert the attention of a stage before the other plugins."""
        selected = super().make_stage_plugins(plugins, stage)
        if self.attention is None:
            return selected
        cfg = sized_attention(self.attention, self.eca_kernel_sizes[stage])
        position = 'after_conv2' if self.block is BasicBlock else 'after_conv3'
        return [dict(cfg=cfg, position=position), *selected]

    def stage_channels(self, stage: int) -> int:
        """Output channels of a stage, counted from 0."""
        return self._block_widths[stage][-1][-1] if self._block_widths else super().stage_channels(stage)

    def block_options(self, stage: int, index: int) -> Dict[str, Any]:
        """Groups and widths of a bottleneck."""
        if self.block is BasicBlock:
            return {}
        return {**self._groups, 'widths': self._block_widths[stage][index] if self._block_widths else None}
