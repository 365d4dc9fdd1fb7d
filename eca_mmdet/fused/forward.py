"""A forward pass for a ResNet with ECA that reads and writes memory less often, with the same values.

Frozen batch norms are folded into their convolutions, the block tail is one function, and on a CPU the stages
compute in channels_last. What ``recognition.py`` does not support takes the plain forward pass.
"""

from typing import TYPE_CHECKING, Callable, Optional, Tuple

import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn

from ..layers.observation import is_observed
from ..layers.residual_blocks import ResLayer
from . import recognition
from .conv_norm import conv_norm
from .eca_residual import eca_residual

if TYPE_CHECKING:
    from ..backbones.resnet import ResNet as _Base
else:
    _Base = object


class FusedForward(_Base):
    """Mixin that gives ``ResNet`` the fused forward pass; list it before ``ResNet`` in the bases."""

    fast: bool = True  # whether to use the fused forward pass
    # Whether to compute in channels_last and return such features. None computes so on a CPU and returns
    # contiguous features, because mmcv's operators misread other memory formats.
    channels_last: Optional[bool] = None
    compiled: Optional[Callable] = None  # the compiled form of compilable_forward
    triton: bool = False  # whether Triton kernels compute the block tails on CUDA

    def forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the features at ``out_indices`` of images ``(N, 3, H, W)``."""
        if is_observed():
            return super().forward(x)
        # For inference on a CPU, the fused pass is as fast as the compiled one, which compiles for minutes.
        if self.compiled and (torch.is_grad_enabled() or x.device.type != 'cpu' or not self.fast):
            if self.fast:
                self._log_path(x)
            return self.compiled(self, x)
        is_supported = self.fast and recognition.is_supported_input(x)
        stem = recognition.recognise_stem(self, x) if is_supported else ()
        if not stem:
            return super().forward(x)
        self._log_path(x)
        return self._fused_forward(x, stem)

    def compilable_forward(self, x: Tensor) -> Tuple[Tensor, ...]:
        """Compute the plain forward pass in the memory format of the fused one."""
        outs = super().forward(self._to_inner_format(x))
        return outs if self.channels_last else tuple(out.contiguous() for out in outs)

    def _fused_forward(self, x: Tensor, stem: Tuple) -> Tuple[Tensor, ...]:
        image, outs = x, []
        x = self._to_inner_format(x)
        for conv, norm in stem:
            x = conv_norm(x, conv, norm, relu=True)
        x = self.maxpool(x)
        for i, name in enumerate(self.res_layers):
            stage = getattr(self, name)
            for module in stage if recognition.is_unmodified(stage, ResLayer) else [stage]:
                is_known = recognition.is_fused_result(x, image)
                parts = recognition.recognise_block(module, image) if is_known else None
                if parts is None or (module.with_cp and x.requires_grad):  # checkpointing saves more memory
                    x = module(x.contiguous())
                else:
                    x = self._fused_block(parts, x)
            if i in self.out_indices:
                outs.append(x if self.channels_last else x.contiguous())
        return tuple(outs)

    def _fused_block(self, parts: recognition.BlockParts, x: Tensor) -> Tensor:
        z = identity = self._to_inner_format(x)
        for conv, norm in parts.convs[:-1]:
            z = conv_norm(z, conv, norm, relu=True)
        z = conv_norm(z, *parts.convs[-1])
        if parts.downsample:
            *pools, conv, norm = parts.downsample
            for pool in pools:
                identity = pool(identity)
            identity = conv_norm(identity, conv, norm)
        if parts.attention is None:
            return (z + identity).relu_()
        return eca_residual(z, identity, parts.attention, overwrite=True, triton=self.triton)

    def _to_inner_format(self, x: Tensor) -> Tensor:
        if self.channels_last or (self.channels_last is None and x.device.type == 'cpu'):
            return x.contiguous(memory_format=torch.channels_last)
        return x.contiguous()

    def _log_path(self, x: Tensor) -> None:
        if getattr(self, '_logged', False):
            return
        self._logged = True
        total = fused = 0
        for stage in (getattr(self, name) for name in self.res_layers):
            total += len(stage) if isinstance(stage, nn.Sequential) else 1
            if recognition.is_unmodified(stage, ResLayer):
                fused += sum(recognition.recognise_block(block, x) is not None for block in stage)
        MMLogger.get_current_instance().info(
            f'{type(self).__name__}: fused forward pass in {fused} of {total} blocks '
            '(fast=False turns it off)'
            f'{", Triton kernels on CUDA" if self.triton else ""}'
            f'{", compiled: the first steps are slow" if self.compiled else ""}'
        )
