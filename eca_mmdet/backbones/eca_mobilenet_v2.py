"""MobileNetV2 with efficient channel attention (ECA-Net, arXiv 1910.03151, table 4).

ECA comes after the last convolution and norm of every inverted residual block, before the addition
if the block has one. The network is mmdet's ``MobileNetV2`` (arXiv 1801.04381) with its state_dict
names; ECA is named ``layerN.M.eca.conv.weight``.
"""

from typing import Sequence, Tuple, Union

import torch.utils.checkpoint as cp
from mmcv.cnn import build_plugin_layer
from mmdet.models.backbones import MobileNetV2
from mmdet.models.layers import InvertedResidual
from mmdet.models.utils import make_divisible
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers import attention_config, sized_attention
from .checked_weights import CheckedWeights
from .kernel_sizes import KernelSizes, grouped_kernel_sizes

RELEASED_MOBILENET_SIZES = (1, 3)
"""Kernel sizes of the released weights ("k13"): for stages below 96 channels, and for the others."""


class ECAInvertedResidual(InvertedResidual):
    """mmdet's ``InvertedResidual`` with attention after ``linear_conv``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        attention: Config of the attention layer, which is built with ``in_channels=out_channels``.
        **kwargs: Arguments of mmdet's ``InvertedResidual``.
    """

    def __init__(self, in_channels: int, out_channels: int, attention: dict, **kwargs) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.attention_name, layer = build_plugin_layer(attention, in_channels=out_channels)
        self.add_module(self.attention_name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x.requires_grad:
            # mmdet's own blocks use the re-entrant variant too.
            return cp.checkpoint(self._residual, x, use_reentrant=True)
        return self._residual(x)

    def _residual(self, x: Tensor) -> Tensor:
        out = self.depthwise_conv(self.expand_conv(x) if self.with_expand_conv else x)
        out = self.linear_conv(self.se(out) if self.with_se else out)
        out = getattr(self, self.attention_name)(out)
        return x + self.drop_path(out) if self.with_res_shortcut else out


@MODELS.register_module()
class ECAMobileNetV2(CheckedWeights, MobileNetV2):
    """mmdet's MobileNetV2 with channel attention after the last convolution and norm of every block.

    It is registered in mmengine's root registry, so that mmdet, MMSegmentation and MMPretrain can
    build it with ``type='ECAMobileNetV2'``.

    Args:
        widen_factor: Multiplier of all widths.
        eca_kernel_sizes: The stages form two groups: those narrower than 96 channels before
            ``widen_factor`` (``layer1`` to ``layer4``), and the others. Allowed are ``None`` for the
            released sizes (1 in the first group, 3 in the second); one size per group, such as
            ``'13'`` or ``(1, 3)``; one odd integer below 10 for all stages; one size per stage, such
            as ``'1111333'``; or ``'adaptive'`` (paper, eq. 12, on each block's output channels).
        attention: The layer in ECA's place, as in ``ECAResNet``; ``'none'`` gives the plain
            MobileNetV2.
        out_indices: Features to return: 0 to 6 are the stages, 7 is the last 1x1 convolution.
        **kwargs: Other arguments of mmdet's ``MobileNetV2``.

    Raises:
        ValueError: If an argument has a value that is not allowed, or if a checkpoint of another
            network is loaded.

    Examples:
        >>> backbone = ECAMobileNetV2()
        >>> [tuple(f.shape) for f in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 24, 16, 16), (1, 32, 8, 8), (1, 96, 4, 4), (1, 1280, 2, 2)]
    """

    in_channels: int  # set by mmdet's class

    def __init__(
        self,
        widen_factor: float = 1.0,
        eca_kernel_sizes: KernelSizes = None,
        attention: Union[str, dict] = 'eca',
        out_indices: Sequence[int] = (1, 2, 4, 7),
        **kwargs,
    ) -> None:
        base_widths = [channels for _, channels, _, _ in self.arch_settings]
        self.stage_channels = tuple(make_divisible(width * widen_factor, 8) for width in base_widths)
        self.attention = attention_config(attention)
        self.eca_kernel_sizes = grouped_kernel_sizes(
            eca_kernel_sizes,
            groups=[int(width >= 96) for width in base_widths],
            stage_channels=self.stage_channels,
            default=RELEASED_MOBILENET_SIZES,
        )
        super().__init__(widen_factor, out_indices, **kwargs)
        # mmdet freezes only at the first train(), after DDP has read which parameters require grad.
        self._freeze_stages()

    @property
    def out_channels(self) -> Tuple[int, ...]:
        """Channels of the returned features, for the ``in_channels`` of a neck."""
        channels = (*self.stage_channels, self.out_channel)
        return tuple(channels[i] for i in sorted(set(self.out_indices)))

    def make_layer(self, out_channels: int, num_blocks: int, stride: int, expand_ratio: int) -> nn.Sequential:
        """Build one stage, and set ``self.in_channels`` for the next one, as mmdet's constructor expects."""
        if self.attention is None:
            return super().make_layer(out_channels, num_blocks, stride, expand_ratio)
        options = dict(
            attention=sized_attention(self.attention, self.eca_kernel_sizes[len(self.layers)]),
            with_expand_conv=expand_ratio != 1,
            conv_cfg=self.conv_cfg,
            norm_cfg=self.norm_cfg,
            act_cfg=self.act_cfg,
            with_cp=self.with_cp,
        )
        block_inputs = [self.in_channels] + [out_channels] * (num_blocks - 1)
        self.in_channels = out_channels
        return nn.Sequential(
            *(
                ECAInvertedResidual(
                    width,
                    out_channels,
                    mid_channels=width * expand_ratio,
                    stride=1 if index else stride,
                    **options,
                )
                for index, width in enumerate(block_inputs)
            )
        )

    def train(self, mode: bool = True) -> 'ECAMobileNetV2':
        """Set the mode as mmdet does; return the module, as torch does."""
        super().train(mode)
        return self
