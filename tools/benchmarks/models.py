"""Build the backbones of the benchmarks from names such as ``ours+channels_last+amp``."""

import contextlib
from typing import Any, Dict, List, NamedTuple, Sequence, Tuple

import torch
from mmdet.models.backbones import ResNet
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mmdet.backbones import ECAResNet
from eca_mmdet.backbones.compiled import COMPILE_OPTIONS
from eca_mmdet.layers import ATTENTIONS

KINDS: Dict[str, Tuple[type, Dict[str, Any]]] = {
    'stock': (ResNet, {}),
    'naive': (ECAResNet, dict(fast=False)),
    'se': (ECAResNet, dict(attention='se')),
    'plain': (ECAResNet, dict(attention='none')),
    'ours': (ECAResNet, {}),
    'nchw': (ECAResNet, dict(channels_last=False)),
}
"""Classes and arguments of the backbones.

``stock`` is mmdet's ResNet and ``naive`` is ECA with the plain forward pass. The others use the fused
forward pass: ``se`` with SE, ``plain`` without attention, ``ours`` with ECA, ``nchw`` with ECA in
contiguous memory format.
"""

OPTIONS = ('channels_last', 'amp', 'compile', 'triton')
"""Options of a whole model: memory format, bfloat16, and the ``ECAResNet`` arguments of the same names."""

BASELINES = ('stock', 'stock+channels_last', 'naive+channels_last')
"""Models in every table. Ratios refer to the first; the others do not use this package's fast code."""

MODELS_COMPARED = (*BASELINES, 'naive', 'se', 'ours', 'ours+channels_last')


class Contestant(NamedTuple):
    """A backbone and the options to run it with."""

    name: str
    module: nn.Module
    options: Tuple[str, ...]

    def to_memory_format(self, x: Tensor) -> Tensor:
        """Convert an input to the memory format of this contestant."""
        if 'channels_last' in self.options:
            return x.contiguous(memory_format=torch.channels_last)
        return x

    def forward(self, x: Tensor) -> List[Tensor]:
        """Compute the features of ``x``, under autocast if ``amp`` is among the options."""
        is_amp = 'amp' in self.options
        with torch.autocast(x.device.type, torch.bfloat16) if is_amp else contextlib.nullcontext():
            return list(self.module(x))

    def infer(self, x: Tensor) -> List[Tensor]:
        """Compute the features without autograd."""
        with torch.no_grad():
            return self.forward(x)

    def train_step(self, x: Tensor, grad_features: List[Tensor]) -> List[Tensor]:
        """Run a forward and backward pass with given gradients of the features; return the features."""
        for parameter in self.module.parameters():
            parameter.grad = None
        outs = self.forward(x)
        pairs = [(out, grad.to(out.dtype)) for out, grad in zip(outs, grad_features) if out.requires_grad]
        torch.autograd.backward(*zip(*pairs))
        return outs


def with_baselines(names: Sequence[str]) -> List[str]:
    """Add the baselines to the names, and their bfloat16 versions if any model uses bfloat16."""
    half = [f'{name}+amp' for name in BASELINES if any('amp' in model.split('+') for model in names)]
    return list(dict.fromkeys([*BASELINES, *half, *names]))


def is_available(name: str) -> bool:
    """Return whether the package has the attention layer that the model needs."""
    return name.split('+')[0] != 'se' or 'se' in ATTENTIONS


def build_contestant(name: str, depth: int = 50, frozen_stages: int = 1, device: str = 'cpu') -> Contestant:
    """Build a backbone from its name. Backbones of the same architecture get the same random weights.

    Raises:
        ValueError: If the name or one of its options is unknown.
    """
    cls, arguments, options = parse_name(name, OPTIONS, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = cls(depth=depth, frozen_stages=frozen_stages, **arguments)
        randomize_norms(module)
    module.to(device).train()  # train() puts the norms on frozen statistics
    if 'channels_last' in options:
        module = module.to(memory_format=torch.channels_last)
    if cls is ResNet and 'compile' in options:
        module.compile(**COMPILE_OPTIONS)
    return Contestant(name, module, options)


def parse_name(
    name: str, allowed: Sequence[str], device: str = 'cpu'
) -> Tuple[type, Dict[str, Any], Tuple[str, ...]]:
    """Split the name of a model into backbone class, arguments and options.

    Raises:
        ValueError: If the name or an option is unknown, or an option does not work on the device.
    """
    kind, *options = name.split('+')
    if kind not in KINDS or not set(options) <= set(allowed):
        raise ValueError(
            f'unknown model {name!r}: expected one of {", ".join(KINDS)}, '
            f'followed by any of {", ".join("+" + option for option in allowed)}'
        )
    if not is_available(name):
        raise ValueError(f'{name!r} needs an attention that is missing; available: {", ".join(ATTENTIONS)}')
    cls, arguments = KINDS[kind]
    if 'triton' in options:
        if kind not in ('ours', 'nchw') or device == 'cpu':
            raise ValueError(f'{name!r}: +triton needs ours or nchw on a CUDA device (--device cuda)')
        arguments = dict(arguments, triton=True)
    if 'channels_last' in options and cls is ECAResNet:
        arguments = {'channels_last': True, **arguments}  # so that its features have this memory format, too
    if 'compile' in options:
        torch._dynamo.config.recompile_limit = 64  # the limit applies to all models together
        if cls is ECAResNet:
            arguments = dict(arguments, compile=True)
    return cls, arguments, tuple(options)


def randomize_norms(backbone: nn.Module) -> None:
    """Give all batch norms random values, so that skipping one changes the features."""
    for norm in backbone.modules():
        if isinstance(norm, _BatchNorm):
            for tensor in (norm.weight, norm.running_var):
                nn.init.uniform_(tensor, 0.5, 1)
            for tensor in (norm.bias, norm.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
