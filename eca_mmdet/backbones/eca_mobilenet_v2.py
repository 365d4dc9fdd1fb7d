"""MobileNetV2 with efficient channel attention (ECA-Net, arXiv 1910.03151, table 4).

ECA comes after the last convolution and norm of every inverted residual block (arXiv 1801.04381), before the
addition if the block has one. The names in the state_dict are those of mmdet's ``MobileNetV2``; ECA is named
``layerN.M.eca.conv.weight``. Like ``ResNet`` of this package, the network needs no host library.
"""

from typing import Any, Optional, Sequence, Tuple, Union

import torch.utils.checkpoint as cp
from mmcv.cnn import ConvModule, build_plugin_layer
from mmengine.model import BaseModule
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers import attention_config, sized_attention
from .base_backbone import BaseBackbone
from .checked_weights import CheckedWeights
from .kernel_sizes import KernelSizes, grouped_kernel_sizes

RELEASED_MOBILENET_SIZES = (1, 3)
"""Kernel sizes of the released weights ("k13"): for stages below 96 channels, and for the others."""


def round_width(width: float) -> int:
    """Round a number of channels to a multiple of 8, by at most 10 % down (arXiv 1801.04381, its code)."""
    rounded = max(8, int(width + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * width else rounded + 8


class InvertedResidual(BaseModule):
    """A block of 1x1, depthwise 3x3 and 1x1 convolutions (arXiv 1801.04381, section 3.3).

    Args:
        in_channels: Input channels.
        out_channels: Output channels.
        expand_ratio: Channels of the depthwise convolution divided by ``in_channels``.
        stride: Stride of the depthwise convolution, 1 or 2.
        dilation: Dilation of the depthwise convolution.
        attention: Config of the attention after the last convolution, built with
            ``in_channels=out_channels``; ``None`` for no attention.
        with_cp: Whether to recompute the block in the backward pass, which saves memory.
        **options: ``conv_cfg``, ``norm_cfg`` and ``act_cfg`` of mmcv's ``ConvModule``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expand_ratio: int,
        stride: int = 1,
        dilation: int = 1,
        attention: Optional[dict] = None,
        with_cp: bool = False,
        **options,
    ) -> None:
        super().__init__()
        self.with_cp = with_cp
        self.has_shortcut = stride == 1 and in_channels == out_channels
        width = in_channels * expand_ratio
        self.with_expand_conv = expand_ratio != 1
        if self.with_expand_conv:
            self.expand_conv = ConvModule(in_channels, width, 1, **options)
        spatial = dict(stride=stride, padding=dilation, dilation=dilation, groups=width)
        self.depthwise_conv = ConvModule(width, width, 3, **spatial, **options)
        self.linear_conv = ConvModule(width, out_channels, 1, **{**options, 'act_cfg': None})
        self.attention_name = ''
        if attention:
            self.attention_name, layer = build_plugin_layer(attention, in_channels=out_channels)
            self.add_module(self.attention_name, layer)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, in_channels, H, W)`` to ``(N, out_channels, H / stride, W / stride)``."""
        if self.with_cp and x.requires_grad:
            return cp.checkpoint(self._residual, x, use_reentrant=True)  # as the blocks of mmdet
        return self._residual(x)

    def _residual(self, x: Tensor) -> Tensor:
        out = self.depthwise_conv(self.expand_conv(x) if self.with_expand_conv else x)
        out = self.linear_conv(out)
        if self.attention_name:
            out = getattr(self, self.attention_name)(out)
        return x + out if self.has_shortcut else out


@MODELS.register_module()
class ECAMobileNetV2(CheckedWeights, BaseBackbone):
    """MobileNetV2 with channel attention after the last convolution and norm of every block.

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
        strides: Stride of each of the seven stages.
        dilations: Dilation of the first block of each stage, as in MMSegmentation.
        out_indices: Features to return: 0 to 6 are the stages, 7 is the last 1x1 convolution. If it is not
            returned, its parameters are not trained.
        frozen_stages: Number of stages whose parameters are not trained; 0 for the first convolution only,
            -1 for none.
        conv_cfg: Config of the convolutions; ``None`` for ``nn.Conv2d``.
        norm_cfg: Config of the norms.
        act_cfg: Config of the activations.
        norm_eval: Whether batch norms use their running statistics in training too.
        with_cp: Whether to recompute blocks in the backward pass, which saves memory.
        pretrained: Deprecated; use ``init_cfg=dict(type='Pretrained', checkpoint=...)``.
        init_cfg: As in mmengine's ``BaseModule``; ``None`` for the usual initialisation.

    Raises:
        ValueError: If an argument has a value that is not allowed, or if a checkpoint of another
            network is loaded.

    Examples:
        >>> backbone = ECAMobileNetV2()
        >>> [tuple(f.shape) for f in backbone(torch.rand(1, 3, 64, 64))]
        [(1, 24, 16, 16), (1, 32, 8, 8), (1, 96, 4, 4), (1, 1280, 2, 2)]
    """

    arch_settings = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
    """Expansion, output channels and number of blocks of each stage (arXiv 1801.04381, table 2)."""

    def __init__(
        self,
        widen_factor: float = 1.0,
        eca_kernel_sizes: KernelSizes = None,
        attention: Union[str, dict] = 'eca',
        strides: Sequence[int] = (1, 2, 2, 2, 1, 2, 1),
        dilations: Sequence[int] = (1, 1, 1, 1, 1, 1, 1),
        out_indices: Sequence[int] = (1, 2, 4, 7),
        frozen_stages: int = -1,
        conv_cfg: Optional[dict] = None,
        norm_cfg: Optional[dict] = None,
        act_cfg: Optional[dict] = None,
        norm_eval: bool = False,
        with_cp: bool = False,
        pretrained: Optional[str] = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(frozen_stages, norm_eval, pretrained, init_cfg)
        widths = [channels for _, channels, _ in self.arch_settings]
        self.stage_channels = tuple(round_width(width * widen_factor) for width in widths)
        self.attention = attention_config(attention)
        self.eca_kernel_sizes = grouped_kernel_sizes(
            eca_kernel_sizes,
            groups=[int(width >= 96) for width in widths],
            stage_channels=self.stage_channels,
            default=RELEASED_MOBILENET_SIZES,
        )
        for name, values in dict(strides=strides, dilations=dilations).items():
            if len(values) != len(widths):
                raise ValueError(f'{name}={values!r} must have one entry for each of {len(widths)} stages')
        if not out_indices or not set(out_indices) <= set(range(8)):
            raise ValueError(f'out_indices must be a subset of 0 to 7, got {out_indices!r}')
        if frozen_stages not in range(-1, 8):
            raise ValueError(f'frozen_stages must be in -1 to 7, got {frozen_stages!r}')
        self.out_indices, self.with_cp = out_indices, with_cp
        options: Any = dict(
            conv_cfg=conv_cfg, norm_cfg=norm_cfg or dict(type='BN'), act_cfg=act_cfg or dict(type='ReLU6')
        )
        in_channels = round_width(32 * widen_factor)
        self.conv1 = ConvModule(3, in_channels, 3, stride=2, padding=1, **options)
        for stage, (expand_ratio, _, count) in enumerate(self.arch_settings):
            blocks = []
            for index in range(count):
                blocks.append(
                    InvertedResidual(
                        in_channels,
                        self.stage_channels[stage],
                        expand_ratio,
                        stride=1 if index else strides[stage],
                        dilation=1 if index else dilations[stage],
                        attention=self.attention
                        and sized_attention(self.attention, self.eca_kernel_sizes[stage]),
                        with_cp=with_cp,
                        **options,
                    )
                )
                in_channels = self.stage_channels[stage]
            self.add_module(f'layer{stage + 1}', nn.Sequential(*blocks))
        self.layers = [*(f'layer{stage + 1}' for stage in range(len(widths))), 'conv2']
        self.out_channel = int(1280 * max(1.0, widen_factor))
        self.conv2 = ConvModule(in_channels, self.out_channel, 1, **options)
        if 7 not in out_indices:  # DDP does not accept parameters without gradients
            self.conv2.requires_grad_(False)
        self._freeze_stages()

    @property
    def out_channels(self) -> Tuple[int, ...]:
        """Channels of the returned features, for the ``in_channels`` of a neck."""
        channels = (*self.stage_channels, self.out_channel)
        return tuple(channels[i] for i in sorted(set(self.out_indices)))

    def _freeze_stages(self) -> None:
        if self.frozen_stages >= 0:
            self.conv1.requires_grad_(False)
        for stage in range(1, self.frozen_stages + 1):
            layer = getattr(self, f'layer{stage}')
            layer.eval()
            layer.requires_grad_(False)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the features at ``out_indices`` of images ``(N, 3, H, W)``."""
        last = max(self.out_indices)
        x = self.conv1(x)
        outs = []
        for index, name in enumerate(self.layers[: last + 1]):
            x = getattr(self, name)(x)
            if index in self.out_indices:
                outs.append(x)
        return tuple(outs)
