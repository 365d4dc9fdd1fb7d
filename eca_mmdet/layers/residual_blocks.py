"""The residual blocks of ResNet and ResNeXt (arXiv 1512.03385, 1611.05431), with plugins such as attention.

The host libraries have such blocks too. These depend on none of them, take plugins in both kinds of block,
and take any width for each convolution. Options and names in the state_dict are those of mmdet's blocks.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Type

import torch.utils.checkpoint as cp
from mmcv.cnn import build_conv_layer, build_norm_layer, build_plugin_layer
from mmengine.model import BaseModule, Sequential
from torch import Tensor, nn

BATCH_NORM = dict(type='BN')


class ResidualBlock(BaseModule):
    """Convolutions with norms and plugins, followed by the addition of the input and an activation.

    Args:
        with_cp: Whether to recompute the block in the backward pass, which saves memory.
        conv_cfg: Config of the convolutions; ``None`` for ``nn.Conv2d``.
        norm_cfg: Config of the norms.
        plugins: Configs of layers ``dict(cfg=dict(type=...), position='after_conv2')``. They are built with
            ``in_channels``. Several plugins of one type need a ``postfix`` in ``cfg``.
        init_cfg: As in mmengine's ``BaseModule``.
    """

    expansion: int  # output channels divided by planes
    activation: Type[nn.Module] = nn.ReLU

    def __init__(
        self,
        with_cp: bool = False,
        conv_cfg: Optional[dict] = None,
        norm_cfg: dict = BATCH_NORM,
        plugins: Optional[Sequence[dict]] = None,
        init_cfg: Any = None,
    ) -> None:
        super().__init__(init_cfg)
        self.with_cp, self.conv_cfg, self.norm_cfg = with_cp, conv_cfg, norm_cfg
        self._plugins = list(plugins or ())
        self.plugin_names: List[List[str]] = []  # one list for each convolution

    def _add_convolutions(self, *convs: dict) -> None:
        """Add ``conv1``, ``conv2``, ... with norms; each dict has the arguments of ``build_conv_layer``."""
        for number, options in enumerate(convs, 1):
            options = {'cfg': self.conv_cfg, 'bias': False, **options}
            norm_name, norm = build_norm_layer(self.norm_cfg, options['out_channels'], postfix=number)
            self.add_module(f'conv{number}', build_conv_layer(**options))
            setattr(self, f'norm{number}_name', norm_name)
            self.add_module(norm_name, norm)

    def _add_tail(self, widths: Sequence[int], downsample: Optional[nn.Module]) -> None:
        """Add the activation, the downsampling and the plugins after convolutions of these widths."""
        self.relu = self.activation(inplace=True)
        self.downsample = downsample
        positions = [f'after_conv{number}' for number in range(1, len(widths) + 1)]
        unknown = [plugin for plugin in self._plugins if plugin.get('position') not in positions]
        if unknown:
            raise ValueError(f'the position of a plugin must be one of {positions}, got {unknown}')
        for position, width in zip(positions, widths):
            names = []
            for plugin in self._plugins:
                if plugin['position'] == position:
                    cfg = dict(plugin['cfg'])
                    name, layer = build_plugin_layer(cfg, in_channels=width, postfix=cfg.pop('postfix', ''))
                    if hasattr(self, name):
                        raise ValueError(f'two plugins have the name {name}: set a postfix in their cfg')
                    self.add_module(name, layer)
                    names.append(name)
            self.plugin_names.append(names)

    @property
    def norm1(self) -> nn.Module:
        """The norm after the first convolution."""
        return getattr(self, self.norm1_name)

    @property
    def norm2(self) -> nn.Module:
        """The norm after the second convolution."""
        return getattr(self, self.norm2_name)

    @property
    def norm3(self) -> nn.Module:
        """The norm after the third convolution of a bottleneck."""
        return getattr(self, self.norm3_name)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, C, H, W)`` to ``(N, planes * expansion, H / stride, W / stride)``."""
        if self.with_cp and x.requires_grad:
            out = cp.checkpoint(self._residual, x, use_reentrant=True)  # as the blocks of mmdet
        else:
            out = self._residual(x)
        return self.relu(out)

    def _residual(self, x: Tensor) -> Tensor:
        out = x
        for number, names in enumerate(self.plugin_names, 1):
            out = getattr(self, f'norm{number}')(getattr(self, f'conv{number}')(out))
            if number < len(self.plugin_names):
                out = self.relu(out)
            for name in names:
                out = getattr(self, name)(out)
        return out + (x if self.downsample is None else self.downsample(x))


class BasicBlock(ResidualBlock):
    """Two 3x3 convolutions (arXiv 1512.03385, figure 5, left).

    Args:
        inplanes: Input channels.
        planes: Output channels.
        stride: Stride of the first convolution.
        dilation: Dilation of the first convolution.
        downsample: Maps the input to the shape of the output; ``None`` for the identity.
        style: Without effect; bottlenecks have it.
        dcn: Must be ``None``; only bottlenecks have deformable convolutions.
        **kwargs: Arguments of ``ResidualBlock``.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: Optional[nn.Module] = None,
        style: str = 'pytorch',
        dcn: Optional[dict] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if dcn is not None:
            raise ValueError(f'depths 18 and 34 have no deformable convolutions, but got dcn={dcn}')
        self.stride, self.dilation = stride, dilation
        self._add_convolutions(
            dict(
                in_channels=inplanes,
                out_channels=planes,
                kernel_size=3,
                stride=stride,
                padding=dilation,
                dilation=dilation,
            ),
            dict(in_channels=planes, out_channels=planes, kernel_size=3, padding=1),
        )
        self._add_tail((planes, planes), downsample)


class Bottleneck(ResidualBlock):
    """Convolutions of 1x1, 3x3 and 1x1 (arXiv 1512.03385, figure 5, right).

    Args:
        inplanes: Input channels.
        planes: A quarter of the output channels.
        stride: Stride of the block.
        dilation: Dilation of the 3x3 convolution.
        downsample: Maps the input to the shape of the output; ``None`` for the identity.
        style: ``'pytorch'`` if the 3x3 convolution has the stride, ``'caffe'`` if the first one has it.
        dcn: Config of a deformable convolution in place of the 3x3 convolution.
        groups: Groups of the 3x3 convolution (ResNeXt).
        base_width: Width of one group at ``base_channels`` planes (ResNeXt).
        base_channels: Planes of the first stage (ResNeXt).
        widths: Output channels of the three convolutions, for pruned networks.
        **kwargs: Arguments of ``ResidualBlock``.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: Optional[nn.Module] = None,
        style: str = 'pytorch',
        dcn: Optional[dict] = None,
        groups: int = 1,
        base_width: int = 4,
        base_channels: int = 64,
        widths: Optional[Tuple[int, int, int]] = None,
        **kwargs,
    ) -> None:
        super().__init__(**kwargs)
        if style not in ('pytorch', 'caffe'):
            raise ValueError(f"style={style!r}: allowed are 'pytorch' and 'caffe'")
        self.stride, self.dilation = stride, dilation
        width = planes if groups == 1 else int(planes * (base_width / base_channels)) * groups
        widths = widths or (width, width, planes * self.expansion)
        first_stride, second_stride = (1, stride) if style == 'pytorch' else (stride, 1)
        spatial: Dict[str, Any] = dict(
            in_channels=widths[0],
            out_channels=widths[1],
            kernel_size=3,
            stride=second_stride,
            padding=dilation,
            dilation=dilation,
            groups=groups,
        )
        deformable = dict(dcn or {})
        if dcn and not deformable.pop('fallback_on_stride', False):
            if self.conv_cfg is not None:
                raise ValueError(f'dcn needs conv_cfg=None, got conv_cfg={self.conv_cfg}')
            spatial['cfg'] = deformable
        self._add_convolutions(
            dict(in_channels=inplanes, out_channels=widths[0], kernel_size=1, stride=first_stride),
            spatial,
            dict(in_channels=widths[1], out_channels=widths[2], kernel_size=1),
        )
        self._add_tail(widths, downsample)


class ResLayer(Sequential):
    """The blocks of one stage."""
