"""The backbones that are compared, by names such as ``ours+channels_last+amp``."""

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
"""mmdet's ResNet; ECA as separate steps; SE; the fused pass without ECA, with it, without its layout."""

OPTIONS = ('channels_last', 'amp', 'compile', 'triton')
"""Of the whole backbone and its input; ``amp`` is bfloat16, the last two as ``ECAResNet``'s arguments."""

BASELINES = ('stock', 'stock+channels_last', 'naive+channels_last')
"""In every table: the first is what ratios refer to, the others need no code of ours."""

MODELS_COMPARED = (*BASELINES, 'naive', 'se', 'ours', 'ours+channels_last')


class Contestant(NamedTuple):
    """A backbone and how it is run."""

    name: str
    module: nn.Module  # the backbone
    options: Tuple[str, ...]

    @property
    def kind(self) -> str:
        """Its name without options."""
        return self.name.split('+')[0]

    def prepare(self, x: Tensor) -> Tensor:
        """The input in the layout that this contestant takes."""
        if 'channels_last' in self.options:
            return x.contiguous(memory_format=torch.channels_last)
        return x

    def forward(self, x: Tensor) -> List[Tensor]:
        """Features of ``x``, in autocast where asked for."""
        enabled = 'amp' in self.options
        with torch.autocast(x.device.type, torch.bfloat16) if enabled else contextlib.nullcontext():
            return list(self.module(x))

    def infer(self, x: Tensor) -> List[Tensor]:
        """Features without autograd."""
        with torch.no_grad():
            return self.forward(x)

    def train_step(self, x: Tensor, grads: List[Tensor]) -> List[Tensor]:
        """Forward and backward pass; gradients of the features as a neck would give them."""
        for parameter in self.module.parameters():
            parameter.grad = None
        outs = self.forward(x)
        asked = [(out, grad.to(out.dtype)) for out, grad in zip(outs, grads) if out.requires_grad]
        torch.autograd.backward(*zip(*asked))
        return outs


def with_baselines(names: Sequence[str]) -> List[str]:
    """Add the baselines, also in bfloat16 where a model computes in it."""
    half = [f'{name}+amp' for name in BASELINES if any('amp' in model.split('+') for model in names)]
    return list(dict.fromkeys([*BASELINES, *half, *names]))


def available(name: str) -> bool:
    """Whether this version of the package has the layers that the model needs."""
    return name.split('+')[0] != 'se' or 'se' in ATTENTIONS


def build_contestant(name: str, depth: int = 50, frozen_stages: int = 1, device: str = 'cpu') -> Contestant:
    """Build a backbone by its name; those of one architecture get the same random weights.

    Raises:
        ValueError: If the name is not a kind followed by options.
    """
    cls, arguments, options = parse_name(name, OPTIONS, device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = random_norms(cls(depth=depth, frozen_stages=frozen_stages, **arguments)).to(device)
    module.train()  # a new module's norms are not yet on frozen statistics
    if 'channels_last' in options:
        module = module.to(memory_format=torch.channels_last)
    if cls is ResNet and 'compile' in options:
        module.compile(**COMPILE_OPTIONS)
    return Contestant(name, module, options)


def parse_name(
    name: str, allowed: Sequence[str], device: str = 'cpu'
) -> Tuple[type, Dict[str, Any], Tuple[str, ...]]:
    """Backbone class, its arguments and the options of a model's name.

    Raises:
        ValueError: If the name is not a kind followed by options, or they do not run on the device.
    """
    kind, *options = name.split('+')
    if kind not in KINDS or not set(options) <= set(allowed):
        raise ValueError(
            f'unknown model {name!r}: a name is one of {", ".join(KINDS)}, '
            f'then any of {", ".join("+" + option for option in allowed)}'
        )
    if not available(name):
        raise ValueError(f'{name!r} needs an attention that is not there; there are {", ".join(ATTENTIONS)}')
    cls, arguments = KINDS[kind]
    if 'triton' in options:
        if kind not in ('ours', 'nchw') or device == 'cpu':
            raise ValueError(f'{name!r}: +triton is for ours and nchw on a CUDA device (--device cuda)')
        arguments = dict(arguments, triton=True)
    if 'channels_last' in options and cls is ECAResNet:
        arguments = {'channels_last': True, **arguments}  # features too, as those of the others
    if 'compile' in options:
        torch._dynamo.config.recompile_limit = 64  # all models share the code that is compiled
        if cls is ECAResNet:
            arguments = dict(arguments, compile=True)
    return cls, arguments, tuple(options)


def random_norms(backbone: nn.Module) -> nn.Module:
    """Norms that do something, so that a model that leaves one out computes other values."""
    for norm in backbone.modules():
        if isinstance(norm, _BatchNorm):
            for tensor in (norm.weight, norm.running_var):
                nn.init.uniform_(tensor, 0.5, 1)
            for tensor in (norm.bias, norm.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    return backbone
