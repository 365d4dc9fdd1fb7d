"""A frozen batch norm as an affine map, and convolution weights that it is folded into once."""

from typing import Any, Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NORMS = (nn.BatchNorm2d, nn.SyncBatchNorm)  # not their subclasses, which may compute other things


def has_hooks(module: nn.Module) -> bool:
    """Whether a call of the module does more than its ``forward``."""
    hooks = (
        module._forward_hooks,
        module._forward_pre_hooks,
        module._backward_hooks,
        module._backward_pre_hooks,
    )
    return any(hooks) or 'forward' in vars(module)


def is_foldable(conv: nn.Module, norm: nn.Module) -> bool:
    """Whether ``norm(conv(x))`` is an affine map of ``conv(x)`` that can be folded into it."""
    return (
        type(conv) is nn.Conv2d
        and type(norm) in _NORMS
        and not norm.training
        and norm.running_mean is not None
        and conv.padding_mode == 'zeros'
        and not isinstance(conv.padding, str)
        and not has_hooks(conv)
        and not has_hooks(norm)
    )


def affine(conv: nn.Conv2d, norm: nn.Module) -> Tuple[Tensor, Tensor, Tensor, Tensor]:
    """Mean and inverse deviation, and the scale and shift that they come to, each ``(C,)``.

    They apply to the convolution without its bias, which the mean contains.
    """
    inverse = torch.rsqrt(norm.running_var + norm.eps)
    scale = inverse if norm.weight is None else inverse * norm.weight
    mean = norm.running_mean if conv.bias is None else norm.running_mean - conv.bias
    if norm.bias is None:
        return mean, inverse, scale, -mean * scale
    return mean, inverse, scale, torch.addcmul(norm.bias, mean, scale, value=-1)


class Folded:
    """A folded weight and bias, and what they were computed from."""

    def __init__(self) -> None:
        self.entry: Optional[Tuple] = None

    def __reduce__(self) -> Tuple:
        return Folded, ()  # a copy or a pickled module folds anew

    def get(self, conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Any:
        """Return the folded weight and bias for inputs such as ``x``, computed again where stale.

        Stale is what other tensors, other memory or a counted change in place shows. Writing
        through ``.data`` shows nowhere: ``forget`` after it, or set the backbone's mode, as
        mmengine does around every such write.
        """
        tensors = (conv.weight, conv.bias, norm.weight, norm.bias, norm.running_mean, norm.running_var)
        tensors = tuple(t for t in tensors if t is not None)
        # Inference tensors count no versions; weights in training change before they are used again.
        if any(t.is_inference() for t in tensors) or (conv.training and conv.weight.requires_grad):
            return _fold(conv, norm, x)
        # The detached aliases keep the old memory alive, so no new tensor can have its address.
        state = (
            x.dtype,
            x.device,
            has_fused_kernels(x),
            norm.eps,
            *[(t.data_ptr(), t._version) for t in tensors],
        )
        entry = self.entry
        if entry is None or entry[0] != state:
            with torch.inference_mode(False):
                entry = state, [t.detach() for t in tensors], _fold(conv, norm, x)
            self.entry = entry  # in one step: other threads may read it
        return entry[2]


@torch.no_grad()
def _fold(conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tuple[Tensor, Tensor]:
    *_, scale, shift = affine(conv, norm)
    weight = (conv.weight * scale.view(-1, 1, 1, 1)).to(x.dtype)
    if x.is_contiguous(memory_format=torch.channels_last):
        weight = weight.contiguous(memory_format=torch.channels_last)
    if is_packed(conv, x):
        weight = torch.ops.mkldnn._reorder_convolution_weight(
            weight, conv.padding, conv.stride, conv.dilation, conv.groups, list(x.shape)
        )
    return weight, shift.to(x.dtype)


def is_packed(conv: nn.Conv2d, x: Tensor) -> bool:
    """Whether the folded weight is in oneDNN's own layout.

    That saves a copy in every call, which counts where weights are large. It depends on the image
    size where channels increase, and another size's takes ten times as long.
    """
    large = conv.weight.numel() >= 2**20 and conv.out_channels <= 2 * conv.in_channels
    return large and has_fused_kernels(x)


def folded(conv: nn.Conv2d, norm: nn.Module, x: Tensor) -> Tuple[Tensor, Tensor]:
    """The folded weight and bias for an input such as ``x``; computed once."""
    return vars(conv).setdefault('_folded', Folded()).get(conv, norm, x)


def forget(module: nn.Module) -> None:
    """Drop the folded weights of all convolutions in ``module``."""
    for child in module.modules():
        vars(child).pop('_folded', None)


def has_fused_kernels(x: Tensor) -> bool:
    """Whether oneDNN's convolutions with a ReLU behind them (those of torch's compiler) take ``x``."""
    return (
        x.device.type == 'cpu'
        and torch.backends.mkldnn.is_available()
        and torch.backends.mkldnn.enabled
        and (
            x.dtype == torch.float32
            or (x.dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())
        )
        and x.numel() > 0
    )


def convolve(x: Tensor, weight: Tensor, bias: Optional[Tensor], options: Tuple, relu: bool) -> Tensor:
    """Convolve ``x`` outside of autograd, with oneDNN's ReLU where it has one."""
    stride, padding, dilation, groups = options
    if has_fused_kernels(x):
        activation = 'relu' if relu else 'none'
        return torch.ops.mkldnn._convolution_pointwise(
            x, weight, bias, padding, stride, dilation, groups, activation, [], ''
        )
    out = F.conv2d(x, weight, bias, stride, padding, dilation, groups)
    return out.relu_() if relu else out
