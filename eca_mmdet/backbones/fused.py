"""The forward pass of a ResNet with ECA in fewer passes over memory, with the same values.

Frozen batch norms are folded into their convolutions, the end of a block is one function
with its own backward, what asks for no gradient is computed without autograd and with
weights that were folded once. What does not fit (other norms, attentions, plugins, hooks)
runs as it is, block by block.
"""

from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from mmdet.models.backbones.resnext import Bottleneck as GroupedBottleneck
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ..layers.conv_eca_residual import conv_eca_residual, gate_folds
from ..layers.conv_norm import conv_norm
from ..layers.eca import ECALayer
from ..layers.eca_residual import eca_residual
from ..layers.folding import forget, has_hooks, is_foldable
from ..layers.layout import to_contiguous
from .compiled import Compiled


class FusedForward:
    """Gives a ``ResNet`` of mmdet the fused forward pass; stands before it among the bases.

    Attributes:
        fast: Whether it is used.
        channels_last: Whether the stages compute in ``channels_last``, whatever the layout of
            the input; ``None`` for on the CPU only. The features have the input's layout:
            mmcv's ``RoIAlign`` reads any other as if it were contiguous.
        fewest_positions: Pixels of a batch from which it is used in training on a CPU; in smaller
            ones the weights outweigh the features, and the plain pass is faster.
        compiled: The compiled form of ``features``, or ``None`` to run it as it is.
        triton: Whether Triton kernels compute the ends of the blocks on CUDA.
    """

    fast: bool = True
    channels_last: Optional[bool] = None
    fewest_positions: int = 2**17
    compiled: Optional[Compiled] = None
    triton: bool = False
    basic_blocks: Tuple[type, ...] = (BasicBlock,)
    bottlenecks: Tuple[type, ...] = (Bottleneck, GroupedBottleneck)

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Map ``(N, 3, H, W)`` to the features at ``out_indices``."""
        if self.compiled is None or not self._gains_by_compiler(x):
            return self.features(x)
        if self.fast:
            self._log_path()
        return self.compiled(self, x)

    def _gains_by_compiler(self, x: Tensor) -> bool:
        # A trace, an export and a compiled detector look at the function itself.
        if torch.jit.is_tracing() or torch.compiler.is_compiling():
            return False
        # The compiled graph folds norms in every call; oneDNN with folded weights is faster.
        return torch.is_grad_enabled() or x.device.type != 'cpu' or not self.fast

    def features(self, x: Tensor) -> Tuple[Tensor, ...]:
        """What ``forward`` computes, not compiled."""
        if not self.fast or x.dim() != 4 or x.is_meta or _is_recorded() or self._trains_norms():
            return super().forward(x)
        if self._trains_on_little(x):
            return super().forward(x)
        self._log_path()
        contiguous = x.is_contiguous()
        if self.channels_last or (self.channels_last is None and x.device.type == 'cpu'):
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.maxpool(self._stem(x))
        outs, copy = [], None  # of what enters a stage, as it was handed out
        for i, name in enumerate(self.res_layers):
            layer = getattr(self, name)
            if has_hooks(layer):
                x = layer(to_contiguous(x))
            else:
                own = False
                for block in layer:
                    x, own = self._block(block, x, own, copy)
                    copy = None
            if i in self.out_indices:
                copy = to_contiguous(x) if contiguous else x
                outs.append(copy)
        return tuple(outs)

    def _trains_on_little(self, x: Tensor) -> bool:
        if x.device.type != 'cpu' or not torch.is_grad_enabled() or torch.compiler.is_compiling():
            return False
        return x.numel() // max(1, x.shape[1]) < self.fewest_positions

    def _trains_norms(self) -> bool:
        """Whether norms use the batch's statistics: with nothing to fold, the plain pass is faster."""
        return getattr(self, self.res_layers[-1])[-1].norm2.training

    def _stem(self, x: Tensor) -> Tensor:
        if not self.deep_stem:
            return conv_norm(x, self.conv1, self.norm1, relu=True)
        if has_hooks(self.stem):
            return self.stem(x)
        for conv, norm, _ in zip(*[iter(self.stem)] * 3):
            x = conv_norm(x, conv, norm, relu=True)
        return x

    def _block(self, block: nn.Module, x: Tensor, own: bool, copy: Optional[Tensor]) -> Tuple[Tensor, bool]:
        """Output of a block, and whether nobody else can hold it; ``own`` says so of ``x``."""
        attention = self._fused_attention(block)
        if attention is None or (block.with_cp and x.requires_grad):
            return block(to_contiguous(x)), False
        own = own and is_foldable(block.conv1, block.norm1)  # a hook may hold its input
        out = conv_norm(x, block.conv1, block.norm1, relu=True, copy=copy)
        last = block.conv2, block.norm2
        if type(block) in self.bottlenecks:
            out = conv_norm(out, *last, relu=True)
            last = block.conv3, block.norm3
        identity = x
        if block.downsample is not None:
            identity = _downsample(block.downsample, x, copy)
            own = is_foldable(*block.downsample[-2:]) and not has_hooks(block.downsample)
        if attention and gate_folds(out, *last, *attention, identity, own):
            return conv_eca_residual(out, *last, *attention, identity), True
        out = conv_norm(out, *last)
        if attention:
            return eca_residual(out, identity, *attention, is_foldable(*last), self.triton), True
        return F.relu(out + identity, inplace=True), True

    def _fused_attention(self, block: nn.Module) -> Optional[Tuple[ECALayer, ...]]:
        """The block's ECA layer, nothing, or ``None`` where the block has to run as it is."""
        names = [getattr(block, 'attention_name', None)]
        if type(block) in self.bottlenecks:
            names = []
            if block.with_plugins:
                if block.after_conv1_plugin_names or block.after_conv2_plugin_names:
                    return None
                names = block.after_conv3_plugin_names
        elif type(block) not in self.basic_blocks:
            return None
        layers = tuple(getattr(block, name) for name in names if name)
        fits = len(layers) <= 1 and all(type(layer) is ECALayer for layer in layers)
        hooked = [block, block.relu, *layers, *(layer.conv for layer in layers if fits)]
        return layers if fits and not any(map(has_hooks, hooked)) else None

    def _log_path(self) -> None:
        if torch.compiler.is_compiling() or getattr(self, '_logged', False):
            return
        self._logged = True
        blocks = [block for name in self.res_layers for block in getattr(self, name)]
        fused = sum(self._fused_attention(block) is not None for block in blocks)
        MMLogger.get_current_instance().info(
            f'{type(self).__name__}: fused forward pass in {fused} of {len(blocks)} blocks '
            f'(fast=False turns it off){", Triton kernels on CUDA" if self.triton else ""}'
            f'{", compiled: the first steps are slow" if self.compiled else ""}'
        )

    def train(self, mode: bool = True) -> nn.Module:
        """Set the mode as mmdet does, drop folded weights; return the module, as torch does."""
        forget(self)
        super().train(mode)
        return self

    def _apply(self, *args, **kwargs) -> nn.Module:
        forget(self)
        return super()._apply(*args, **kwargs)

    def _load_from_state_dict(self, *args) -> None:
        forget(self)
        super()._load_from_state_dict(*args)


def _is_recorded() -> bool:
    return torch.jit.is_tracing() or torch.compiler.is_exporting()


def _downsample(downsample: nn.Module, x: Tensor, copy: Optional[Tensor]) -> Tensor:
    """The shortcut: an optional pool, a convolution and a norm."""
    *before, conv, norm = downsample
    if has_hooks(downsample):
        return downsample(x)
    for module in before:
        x, copy = module(x), None
    return conv_norm(x, conv, norm, copy=copy)
