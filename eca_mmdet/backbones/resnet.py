"""ResNet (arXiv 1512.03385) with plugins in its blocks, without a host library.

It has the options of the ``ResNet`` classes of mmdet and MMSegmentation, their names in the state_dict and
their initialisation. So one class serves detection, segmentation and classification, and each host library
is optional.
"""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Type, Union

from mmcv.cnn import build_conv_layer, build_norm_layer
from torch import Tensor, nn

from ..layers.residual_blocks import BATCH_NORM, BasicBlock, Bottleneck, ResLayer
from .base_backbone import BaseBackbone


class ResNet(BaseBackbone):
    """The base of this package's ResNets.

    Args:
        block: Class of the blocks.
        stage_blocks: Number of blocks in each stage.
        in_channels: Channels of the images.
        stem_channels: Output channels of the stem; with ``deep_stem``, also those of its three convolutions.
        base_channels: Planes of the first stage; each further stage doubles them.
        num_stages: Number of stages, up to four.
        strides: Stride of each stage.
        dilations: Dilation of each stage.
        out_indices: Stages whose features are returned, from 0.
        style: ``'pytorch'`` or ``'caffe'``, see ``Bottleneck``.
        deep_stem: Whether the stem has three 3x3 convolutions instead of one of 7x7 (ResNetV1c).
        avg_down: Whether ``downsample`` has average pooling instead of a stride (ResNetV1d).
        frozen_stages: Number of stages whose parameters are not trained; 0 for the stem only, -1 for none.
        conv_cfg: Config of the convolutions; ``None`` for ``nn.Conv2d``.
        norm_cfg: Config of the norms.
        norm_eval: Whether batch norms use their running statistics in training too. Detection does this,
            segmentation and classification do not.
        dcn: Config of deformable convolutions in the stages selected by ``stage_with_dcn``.
        stage_with_dcn: For each stage, whether it has deformable convolutions.
        plugins: Configs of layers in the blocks, as in mmdet:
            ``dict(cfg=dict(type=...), position='after_conv2', stages=(False, True, True, True))``.
        with_cp: Whether to recompute blocks in the backward pass, which saves memory.
        zero_init_residual: Whether to initialise the last norm of each block with zeros.
        contract_dilation: Whether the first block of a dilated stage has half of its dilation, as in
            MMSegmentation.
        multi_grid: Dilations of the blocks of the last stage (DeepLabV3, arXiv 1706.05587), as in
            MMSegmentation.
        pretrained: Deprecated; use ``init_cfg=dict(type='Pretrained', checkpoint=...)``.
        init_cfg: As in mmengine's ``BaseModule``; ``None`` for the usual initialisation.
    """

    def __init__(
        self,
        block: Type[Union[BasicBlock, Bottleneck]],
        stage_blocks: Sequence[int],
        in_channels: int = 3,
        stem_channels: Union[int, Sequence[int], None] = None,
        base_channels: int = 64,
        num_stages: int = 4,
        strides: Sequence[int] = (1, 2, 2, 2),
        dilations: Sequence[int] = (1, 1, 1, 1),
        out_indices: Sequence[int] = (0, 1, 2, 3),
        style: str = 'pytorch',
        deep_stem: bool = False,
        avg_down: bool = False,
        frozen_stages: int = -1,
        conv_cfg: Optional[dict] = None,
        norm_cfg: dict = BATCH_NORM,
        norm_eval: bool = True,
        dcn: Optional[dict] = None,
        stage_with_dcn: Sequence[bool] = (False, False, False, False),
        plugins: Optional[Sequence[dict]] = None,
        with_cp: bool = False,
        zero_init_residual: bool = True,
        contract_dilation: bool = False,
        multi_grid: Optional[Sequence[int]] = None,
        pretrained: Optional[str] = None,
        init_cfg: Any = None,
    ) -> None:
        uses_default_init = init_cfg is None and pretrained is None
        super().__init__(frozen_stages, norm_eval, pretrained, init_cfg)
        self.block, self.num_stages = block, num_stages
        self.stage_blocks = tuple(stage_blocks[:num_stages])
        self.strides, self.dilations, self.out_indices = strides, dilations, out_indices
        self.style, self.deep_stem, self.avg_down = style, deep_stem, avg_down
        self.conv_cfg, self.norm_cfg, self.with_cp = conv_cfg, norm_cfg, with_cp
        self.base_channels, self.zero_init_residual = base_channels, zero_init_residual
        self.contract_dilation, self.multi_grid = contract_dilation, multi_grid
        self._check_stages(dcn, stage_with_dcn)
        widths = stem_channels if isinstance(stem_channels, Sequence) else (stem_channels or base_channels,)
        self.stem_channels = inplanes = widths[-1]
        self._make_stem(in_channels, widths)
        options: Dict[str, Any] = dict(style=style, with_cp=with_cp, conv_cfg=conv_cfg, norm_cfg=norm_cfg)
        if zero_init_residual and uses_default_init:
            last_norm = 'norm2' if block.expansion == 1 else 'norm3'
            options['init_cfg'] = dict(type='Constant', val=0, override=dict(name=last_norm))
        self.res_layers = []
        for stage in range(num_stages):
            options['dcn'] = dcn if stage_with_dcn[stage] else None
            options['plugins'] = self.make_stage_plugins(plugins or (), stage)
            self.add_module(f'layer{stage + 1}', self._make_stage(stage, inplanes, options))
            self.res_layers.append(f'layer{stage + 1}')
            inplanes = self.stage_channels(stage)
        self.feat_dim = inplanes
        self._freeze_stages()

    def _check_stages(self, dcn: Optional[dict], stage_with_dcn: Sequence[bool]) -> None:
        stages = self.num_stages
        if not 1 <= stages <= 4 or len(self.stage_blocks) != stages:
            raise ValueError(f'num_stages={stages}: allowed are 1 to 4')
        lengths = {'strides': self.strides, 'dilations': self.dilations}
        if dcn is not None:
            lengths['stage_with_dcn'] = stage_with_dcn
        for name, values in lengths.items():
            if len(values) != stages:
                raise ValueError(f'{name}={values!r} must have one entry for each of {stages} stages')
        if not self.out_indices or not all(0 <= index < stages for index in self.out_indices):
            raise ValueError(f'out_indices={self.out_indices!r}: allowed are 0 to {stages - 1}')
        if self.multi_grid is not None and len(self.multi_grid) != self.stage_blocks[-1]:
            raise ValueError(
                f'multi_grid={self.multi_grid!r} must have one dilation for each of the '
                f'{self.stage_blocks[-1]} blocks of the last stage'
            )

    @property
    def norm1(self) -> nn.Module:
        """The norm of a plain stem."""
        return getattr(self, self.norm1_name)

    @property
    def out_channels(self) -> Tuple[int, ...]:
        """Channels of the returned features, for the ``in_channels`` of a neck."""
        return tuple(self.stage_channels(i) for i in self.out_indices)

    def stage_planes(self, stage: int) -> int:
        """Planes of a stage, counted from 0."""
        return self.base_channels * 2**stage

    def stage_channels(self, stage: int) -> int:
        """Output channels of a stage, counted from 0."""
        return self.stage_planes(stage) * self.block.expansion

    def block_options(self, stage: int, index: int) -> Dict[str, Any]:
        """Additional arguments of a block, for subclasses."""
        return {}

    def make_stage_plugins(self, plugins: Sequence[dict], stage: int) -> List[dict]:
        """Select the plugins of a stage."""
        selected = []
        for plugin in plugins:
            stages = plugin.get('stages')
            if stages is not None and len(stages) != self.num_stages:
                raise ValueError(
                    f'stages={stages!r} of a plugin must have one entry for each of {self.num_stages} stages'
                )
            if stages is None or stages[stage]:
                selected.append({name: value for name, value in plugin.items() if name != 'stages'})
        return selected

    def _make_stem(self, in_channels: int, widths: Sequence[int]) -> None:
        if self.deep_stem:
            # Names of mmdet: convolutions are stem.0, stem.3 and stem.6.
            self.stem = nn.Sequential()
            widths = widths if len(widths) == 3 else (widths[0] // 2, widths[0] // 2, widths[0])
            for width, stride in zip(widths, self._deep_stem_strides()):
                options = dict(kernel_size=3, stride=stride, padding=1, bias=False)
                self.stem.append(build_conv_layer(self.conv_cfg, in_channels, width, **options))
                self.stem.append(build_norm_layer(self.norm_cfg, width)[1])
                self.stem.append(self.block.activation(inplace=True))
                in_channels = width
        else:
            options = dict(kernel_size=7, stride=2, padding=3, bias=False)
            self.conv1 = build_conv_layer(self.conv_cfg, in_channels, widths[-1], **options)
            self.norm1_name, norm = build_norm_layer(self.norm_cfg, widths[-1], postfix=1)
            self.add_module(self.norm1_name, norm)
            self.relu = self.block.activation(inplace=True)
        self.maxpool: nn.Module = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

    def _deep_stem_strides(self) -> Tuple[int, int, int]:
        return 2, 1, 1

    def _make_stage(self, stage: int, inplanes: int, options: Dict[str, Any]) -> ResLayer:
        outplanes, stride = self.stage_channels(stage), self.strides[stage]
        downsample = None
        if stride != 1 or inplanes != outplanes:
            downsample = self._make_downsample(inplanes, outplanes, stride)
        blocks = []
        for index, dilation in enumerate(self._block_dilations(stage)):
            first = dict(stride=stride, downsample=downsample) if index == 0 else {}
            own = {**options, **first, **self.block_options(stage, index)}
            blocks.append(self.block(inplanes, self.stage_planes(stage), dilation=dilation, **own))
            inplanes = outplanes
        return ResLayer(*blocks)

    def _make_downsample(self, inplanes: int, outplanes: int, stride: int) -> nn.Sequential:
        layers: List[nn.Module] = []
        if self.avg_down:
            layers.append(nn.AvgPool2d(stride, stride, ceil_mode=True, count_include_pad=False))
            stride = 1
        layers.append(build_conv_layer(self.conv_cfg, inplanes, outplanes, 1, stride=stride, bias=False))
        layers.append(build_norm_layer(self.norm_cfg, outplanes)[1])
        return nn.Sequential(*layers)

    def _block_dilations(self, stage: int) -> List[int]:
        dilation, count = self.dilations[stage], self.stage_blocks[stage]
        if self.multi_grid is not None and stage == self.num_stages - 1:
            return list(self.multi_grid)
        first = dilation // 2 if self.contract_dilation and dilation > 1 else dilation
        return [first] + [dilation] * (count - 1)

    def _freeze_stages(self) -> None:
        frozen: List[nn.Module] = []
        if self.frozen_stages >= 0:
            frozen += [self.stem] if self.deep_stem else [self.conv1, self.norm1]
        frozen += [getattr(self, f'layer{i}') for i in range(1, self.frozen_stages + 1)]
        for module in frozen:
            module.eval()
            module.requires_grad_(False)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the features at ``out_indices`` of images ``(N, in_channels, H, W)``."""
        x = self.stem(x) if self.deep_stem else self.relu(self.norm1(self.conv1(x)))
        x = self.maxpool(x)
        outs = []
        for i, name in enumerate(self.res_layers):
            x = getattr(self, name)(x)
            if i in self.out_indices:
                outs.append(x)
        return tuple(outs)
