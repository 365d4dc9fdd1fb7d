"""MobileNetV2 with efficient channel attention (ECA-Net, arXiv 1910.03151, table 4).

ECA follows the projection (the last convolution and norm) of every inverted residual and
precedes the addition, where there is one. The network is mmdet's ``MobileNetV2``
(arXiv 1801.04381), with its state-dict names and ``layerN.M.eca.conv.weight``.
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
"""Kernel sizes of the released weights ("k13"): of stages below 96 channels, and of the others."""


class ECAInvertedResidual(InvertedResidual):
    """mmdet's ``InvertedResidual`` with attention after ``linear_conv``.

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        attention: Config of the attention, a layer that takes ``in_channels``.
        **kwargs: Arguments of mmdet's ``InvertedResidual``.
    """

    def __init__(self, in_channels: int, out_channels: int, attention: dict, **kwargs) -> None:
        super().__init__(in_channels, out_channels, **kwargs)
        self.attention_name, layer = build_plugin_layer(attention, in_channels=out_channels)
        self.add_module(self.attention_name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x.requires_grad:
            # The re-entrant variant keeps the behaviour of mmdet's blocks.
            return cp.checkpoint(self._residual, x, use_reentrant=True)
        return self._residual(x)

    def _residual(self, x: Tensor) -> Tensor:
        out = self.depthwise_conv(self.expand_conv(x) if self.with_expand_conv else x)
        out = self.linear_conv(self.se(out) if self.with_se else out)
        out = getattr(self, self.attention_name)(out)
        return x + self.drop_path(out) if self.with_res_shortcut else out


@MODELS.register_module()
class ECAMobileNetV2(CheckedWeights, MobileNetV2):
    """mmdet's MobileNetV2 with channel attention after the projection of every block.

    Registered in mmengine's root registry, where mmdet, MMSegmentation and
    MMPretrain find it as ``type='ECAMobileNetV2'``.

    Args:
        widen_factor: Multiplier of all widths.
        eca_kernel_sizes: ``None`` for the released sizes, 1 in the stages whose width before
            ``widen_factor`` is below 96 (``layer1`` to ``layer4``) and 3 in the others; two
            sizes for these two groups, such as ``'13'`` or ``(1, 3)``; one odd integer below
            10; one per stage, such as ``'1111333'``; or ``'adaptive'`` (paper, eq. 12, on each
            block's output channels).
        attention: What stands in the place of ECA, as in ``ECAResNet``; ``'none'`` is the
            plain MobileNetV2.
        **kwargs: All other arguments of mmdet's ``MobileNetV2``, unchanged. Of its eight
            ``out_indices``, 0 to 6 are the stages and 7 is the last 1x1 convolution.

    Raises:
        ValueError: If an argument is not one of the allowed forms, or a checkpoint with other
            sizes is loaded.

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
        # mmdet's freezes at the first train() only, after DDP has noted which parameters get gradients.
        self._freeze_stages()

    @property
    def out_channels(self) -> Tuple[int, ...]:
        """Channels of the features at ``out_indices``: the ``in_channels`` of a neck."""
        channels = (*self.stage_channels, self.out_channel)
        return tuple(channels[i] for i in sorted(set(self.out_indices)))

    def make_layer(self, out_channels: int, num_blocks: int, stride: int, expand_ratio: int) -> nn.Sequential:
        """Build one stage; ``in_channels`` becomes its output channels, as mmdet's constructor expects."""
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
        inner = [self.in_channels] + [out_channels] * (num_blocks - 1)
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
                for index, width in enumerate(inner)
            )
        )

    def train(self, mode: bool = True) -> 'ECAMobileNetV2':
        """Set the mode as mmdet does; return the module, as torch does and mmdet does not."""
        super().train(mode)
        return self
