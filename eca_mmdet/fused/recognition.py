"""What the fused forward pass stands for; everything else takes the plain forward pass.

The fused pass calls functions in place of modules. So it may only replace modules of exactly the classes
whose computation it knows, that nobody hooked or patched, on tensors that torch treats in the usual way.
"""

from functools import cache
from typing import FrozenSet, NamedTuple, Optional, Tuple

import torch
from mmdet.models.backbones.resnet import BasicBlock, Bottleneck
from mmdet.models.backbones.resnext import Bottleneck as GroupedBottleneck
from torch import Tensor, nn

from ..layers.eca import ECALayer

NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)
BASIC_BLOCKS = (BasicBlock,)
BOTTLENECKS = (Bottleneck, GroupedBottleneck)
_LOW, _WIDE = (torch.float16, torch.bfloat16), (torch.float32, torch.float64)
_HOOKS = (
    '_forward_hooks',
    '_forward_pre_hooks',
    '_backward_hooks',
    '_backward_pre_hooks',
    '_compiled_call_impl',
)


class BlockParts(NamedTuple):
    """The modules of a residual block that the fused pass can compute."""

    convs: Tuple[Tuple[nn.Conv2d, nn.Module], ...]  # each with its norm
    downsample: Tuple[nn.Module, ...]  # pools, a convolution and its norm, or nothing
    attention: Optional[ECALayer]


def takes_input(x: Tensor) -> bool:
    """Whether ``x`` is an ordinary batch of images ``(N, C, H, W)`` of a floating type."""
    return is_ordinary(x) and (x.dtype in _WIDE or not torch.is_autocast_enabled(x.device.type))


def continues(x: Tensor, image: Tensor) -> bool:
    """Whether ``x`` is what the fused pass makes of the image, and not what a hook made of it."""
    kinds = [image.dtype]
    if torch.is_autocast_enabled(image.device.type):
        kinds.append(torch.get_autocast_dtype(image.device.type))
    return is_ordinary(x) and x.device == image.device and x.dtype in kinds


def is_ordinary(x: Tensor) -> bool:
    """Whether ``x`` is a strided 4-D tensor of no subclass that a CPU or CUDA device computes with."""
    if type(x) is not Tensor or x.layout is not torch.strided or x.is_nested or x.dim() != 4:
        return False
    return x.device.type in ('cpu', 'cuda') and x.numel() > 0 and x.dtype in (*_LOW, *_WIDE)


def is_plain(module: Optional[nn.Module], *classes: type) -> bool:
    """Whether a module is of exactly one of the classes, without hooks and without patched methods."""
    if type(module) not in classes or any(vars(module).get(name) for name in _HOOKS):
        return False
    return _methods(type(module)).isdisjoint(vars(module))


@cache
def _methods(cls: type) -> FrozenSet[str]:
    return frozenset(name for name in dir(cls) if callable(getattr(cls, name)))


def recognise_stem(backbone: nn.Module, x: Tensor) -> Tuple[Tuple[nn.Module, nn.Module], ...]:
    """Return the stem's convolutions and norms, or nothing where the fused pass cannot compute it."""
    parts = [backbone.stem] if backbone.deep_stem else [backbone.conv1, backbone.norm1, backbone.relu]
    if backbone.deep_stem and is_plain(backbone.stem, nn.Sequential):
        parts = list(backbone.stem)
    convs = tuple(zip(parts[::3], parts[1::3]))
    known = len(parts) == 3 * len(convs) and all(is_plain(relu, nn.ReLU) for relu in parts[2::3])
    known = known and is_plain(backbone.maxpool, nn.MaxPool2d)
    return convs if known and all(_is_conv_norm(*pair, x) for pair in convs) else ()


def recognise_block(block: nn.Module, x: Tensor, basic_blocks: Tuple[type, ...]) -> Optional[BlockParts]:
    """Return the parts of a block, or ``None``; its weights must have the type and device of ``x``."""
    if not is_plain(block, *basic_blocks, *BOTTLENECKS) or not is_plain(block.relu, nn.ReLU):
        return None
    convs = (block.conv1, block.norm1), (block.conv2, block.norm2)
    if type(block) in basic_blocks:
        names = [name for name in [getattr(block, 'attention_name', None)] if name]
    else:
        convs = (*convs, (block.conv3, block.norm3))
        names = block.after_conv3_plugin_names if block.with_plugins else []
        if block.with_plugins and (block.after_conv1_plugin_names or block.after_conv2_plugin_names):
            return None
    downsample = () if block.downsample is None else tuple(block.downsample)
    if downsample:
        if not is_plain(block.downsample, nn.Sequential) or len(downsample) < 2:
            return None
        if not all(is_plain(pool, nn.AvgPool2d) for pool in downsample[:-2]):
            return None
    pairs = (*convs, downsample[-2:]) if downsample else convs
    attention = getattr(block, names[0]) if names else None
    known = len(names) < 2 and (attention is None or _is_eca(attention, x))
    return (
        BlockParts(convs, downsample, attention)
        if known and all(_is_conv_norm(*p, x) for p in pairs)
        else None
    )


def _is_conv_norm(conv: nn.Module, norm: nn.Module, x: Tensor) -> bool:
    """Whether both are ordinary; ``mmcv.cnn.fuse_conv_bn`` leaves an identity for the norm."""
    known = is_plain(conv, nn.Conv2d) and is_plain(norm, *NORMS, nn.Identity)
    known = known and conv.padding_mode == 'zeros' and not isinstance(conv.padding, str)
    return known and _has_tensors_like(x, conv, norm)


def _is_eca(layer: nn.Module, x: Tensor) -> bool:
    if not is_plain(layer, ECALayer) or not is_plain(layer.conv, nn.Conv1d) or layer.conv.bias is not None:
        return False
    conv, size = layer.conv, layer.conv.weight.shape[-1]
    options = conv.stride, conv.padding, conv.dilation, conv.groups, conv.padding_mode
    known = size % 2 == 1 and conv.weight.shape == (1, 1, size)
    return known and options == ((1,), (size // 2,), (1,), 1, 'zeros') and _has_tensors_like(x, conv)


def _has_tensors_like(x: Tensor, *modules: nn.Module) -> bool:
    """Whether the modules' tensors are ordinary ones of the type and device of ``x``."""
    names = ('weight', 'bias', 'running_mean', 'running_var')
    found = (getattr(module, name, None) for module in modules for name in names)
    tensors = [t for t in found if t is not None]
    known = all(type(t) in (Tensor, nn.Parameter) and t.layout is torch.strided for t in tensors)
    return known and all(t.dtype == x.dtype and t.device == x.device for t in tensors)
