"""Decide what the fused forward pass can compute; everything else takes the plain forward pass.

It may only replace modules of known classes without hooks and patched methods, on ordinary tensors.
"""

from functools import cache
from typing import TYPE_CHECKING, Any, FrozenSet, NamedTuple, Optional, Tuple, Type, TypeGuard, TypeVar

import torch
from torch import Tensor, nn

from ..layers.eca import ECALayer
from ..layers.residual_blocks import BasicBlock, Bottleneck

if TYPE_CHECKING:
    from ..backbones.resnet import ResNet

_T = TypeVar('_T')
NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
_HALF_DTYPES, _FULL_DTYPES = (torch.float16, torch.bfloat16), (torch.float32, torch.float64)
_HOOKS = ('_forward_hooks', '_forward_pre_hooks', '_backward_hooks', '_backward_pre_hooks')


class BlockParts(NamedTuple):
    """The modules of a residual block that the fused pass can compute."""

    convs: Tuple[Tuple[nn.Conv2d, nn.Module], ...]  # each convolution with its norm
    downsample: Tuple[Any, ...]  # pools, a convolution and its norm; empty for the identity
    attention: Optional[ECALayer]


def is_supported_input(x: Tensor) -> bool:
    """Whether ``x`` is an ordinary floating-point batch of images ``(N, C, H, W)``."""
    return is_ordinary(x) and (x.dtype in _FULL_DTYPES or not torch.is_autocast_enabled(x.device.type))


def is_fused_result(x: Tensor, image: Tensor) -> bool:
    """Whether the fused pass can have computed ``x`` from ``image``; a hook may return other tensors."""
    dtypes = [image.dtype]
    if torch.is_autocast_enabled(image.device.type):
        dtypes.append(torch.get_autocast_dtype(image.device.type))
    return is_ordinary(x) and x.device == image.device and x.dtype in dtypes


def is_ordinary(x: Tensor) -> bool:
    """Whether ``x`` is a strided, floating-point 4-D tensor on a CPU or CUDA device, not of a subclass."""
    if type(x) is not Tensor or x.layout is not torch.strided or x.is_nested or x.dim() != 4:
        return False
    return x.device.type in ('cpu', 'cuda') and x.numel() > 0 and x.dtype in (*_HALF_DTYPES, *_FULL_DTYPES)


def is_unmodified(module: Any, *classes: Type[_T]) -> TypeGuard[_T]:
    """Whether a module is of exactly one of the classes, without hooks and patched methods."""
    if type(module) not in classes or any(
        vars(module).get(name) for name in (*_HOOKS, '_compiled_call_impl')
    ):
        return False
    cls: type = type(module)
    return _method_names(cls).isdisjoint(vars(module))


@cache
def _method_names(cls: type) -> FrozenSet[str]:
    return frozenset(name for name in dir(cls) if callable(getattr(cls, name)))


def recognise_stem(backbone: 'ResNet', x: Tensor) -> Tuple[Tuple[nn.Conv2d, nn.Module], ...]:
    """Return the convolutions and norms of the stem, or ``()`` if the fused pass cannot compute it."""
    if not backbone.deep_stem:
        modules = [backbone.conv1, backbone.norm1, backbone.relu]
    elif is_unmodified(backbone.stem, nn.Sequential):
        modules = list(backbone.stem)
    else:
        return ()
    convs, relus = tuple(zip(modules[::3], modules[1::3])), modules[2::3]
    if len(modules) != 3 * len(convs) or not all(is_unmodified(relu, nn.ReLU) for relu in relus):
        return ()
    if not is_unmodified(backbone.maxpool, nn.MaxPool2d):
        return ()
    return convs if all(_is_supported_conv_norm(*pair, x) for pair in convs) else ()


def recognise_block(block: nn.Module, x: Tensor) -> Optional[BlockParts]:
    """Return the parts of a block, or ``None``."""
    if not is_unmodified(block, BasicBlock, Bottleneck) or not is_unmodified(block.relu, nn.ReLU):
        return None
    numbers = range(1, len(block.plugin_names) + 1)
    convs: Tuple[Tuple[nn.Conv2d, nn.Module], ...] = tuple(
        (getattr(block, f'conv{number}'), getattr(block, f'norm{number}')) for number in numbers
    )
    *earlier, last = block.plugin_names
    attention = getattr(block, last[0]) if last else None
    if any(earlier) or len(last) > 1 or not (attention is None or _is_supported_eca(attention, x)):
        return None

    downsample: Tuple[nn.Module, ...] = ()
    pairs: Tuple[Tuple[nn.Module, nn.Module], ...] = convs
    if block.downsample is not None:
        if not is_unmodified(block.downsample, nn.Sequential):
            return None
        downsample = tuple(block.downsample)
        if len(downsample) < 2 or not all(is_unmodified(pool, nn.AvgPool2d) for pool in downsample[:-2]):
            return None
        pairs = (*convs, (downsample[-2], downsample[-1]))
    if not all(_is_supported_conv_norm(*pair, x) for pair in pairs):
        return None
    return BlockParts(convs, downsample, attention)


def _is_supported_conv_norm(conv: nn.Module, norm: nn.Module, x: Tensor) -> bool:
    # mmcv.cnn.fuse_conv_bn replaces the norm by an identity.
    if not is_unmodified(conv, nn.Conv2d) or not is_unmodified(norm, *NORMS, nn.Identity):
        return False
    if conv.padding_mode != 'zeros' or isinstance(conv.padding, str):
        return False
    return _has_supported_tensors(x, conv, norm)


def _is_supported_eca(layer: nn.Module, x: Tensor) -> bool:
    if not is_unmodified(layer, ECALayer) or not is_unmodified(layer.conv, nn.Conv1d):
        return False
    conv, size = layer.conv, layer.conv.weight.shape[-1]
    if conv.bias is not None or size % 2 == 0 or conv.weight.shape != (1, 1, size):
        return False
    options = conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    return options == ((1,), (size // 2,), (1,), 1, 'zeros') and _has_supported_tensors(x, conv)


def _has_supported_tensors(x: Tensor, *modules: nn.Module) -> bool:
    """Whether the tensors of the modules are ordinary and have the dtype and device of ``x``."""
    names = ('weight', 'bias', 'running_mean', 'running_var')
    found = [getattr(module, name, None) for module in modules for name in names]
    return all(
        type(tensor) in (Tensor, nn.Parameter)
        and tensor.layout is torch.strided
        and tensor.dtype == x.dtype
        and tensor.device == x.device
        for tensor in found
        if tensor is not None
    )
