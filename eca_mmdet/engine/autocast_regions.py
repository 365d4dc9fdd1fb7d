"""Parts of a detector that compute in bfloat16, and a check that they really do."""

import dataclasses
from contextlib import ExitStack
from copy import copy
from typing import Any, Iterator, List, Optional, Sequence, Tuple

import torch
from mmengine.structures import BaseDataElement
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

PARTS = (
    'backbone',
    'neck',
    'encoder',
    'decoder',
    'rpn_head',
    'bbox_head',
    'mask_head',
    'semantic_head',
    'panoptic_head',
    'roi_head.shared_head',
    'roi_head.bbox_head',
    'roi_head.mask_head',
    'roi_head.mask_iou_head',
    'roi_head.point_head',
    'roi_head.grid_head',
    'roi_head.semantic_head',
    'roi_head.glbctx_head',
    'roi_head.feat_relay_head',
)
"""The parts of mmdet's detectors whose forward pass is made of convolutions and products."""


class _Watch(TorchDispatchMode):
    """Notes whether any operation has a result in bfloat16."""

    seen = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.seen = self.seen or (isinstance(out, Tensor) and out.dtype is torch.bfloat16)
        return out


class Region:
    """Hooks around a module's forward pass; holds no module, so copies of a model get their own.

    Attributes:
        name: Name of the module.
        has_run: Whether the module has been called.
        has_bfloat16: Whether an operation of its first call had a result in bfloat16; taken for
            granted in a compiled model.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_run = self.has_bfloat16 = False
        self._open: List[Tuple[ExitStack, Optional[_Watch]]] = []

    def enter(self, module: nn.Module, args: Any) -> None:
        """Turn bfloat16 on before the forward pass."""
        weight, contexts = next(module.parameters(), None), ExitStack()
        device = 'cpu' if weight is None else weight.device.type
        contexts.enter_context(torch.autocast(device, torch.bfloat16))
        # A compiler traces what autocast does, and would stop at the watch.
        is_watched = not self.has_run and not torch.compiler.is_compiling()
        watch = contexts.enter_context(_Watch()) if is_watched else None
        self._open.append((contexts, watch))

    def leave(self, module: nn.Module, args: Any, out: Any) -> Any:
        """Turn it off and give the results in float32."""
        contexts, watch = self._open.pop()
        contexts.close()
        if not self.has_run:
            self.has_run, self.has_bfloat16 = True, watch is None or watch.seen
        return to_float32(out)


class _Float32:
    """Hooks around an operator of mmcv within a region: its kernels are in float32."""

    def __init__(self) -> None:
        self._open: List[ExitStack] = []

    def enter(self, module: nn.Module, args: tuple, kwargs: dict) -> Tuple[tuple, dict]:
        contexts = ExitStack()
        for device in {weight.device.type for weight in module.parameters()}:
            contexts.enter_context(torch.autocast(device, enabled=False))
        self._open.append(contexts)
        return to_float32(args), to_float32(kwargs)

    def leave(self, module: nn.Module, args: Any, out: Any) -> None:
        self._open.pop().close()


def to_float32(value: Any) -> Any:
    """Convert the bfloat16 tensors of a module's output, however they are nested, to float32.

    Args:
        value: Tensors in lists, tuples, dicts, dataclasses or mmengine's data elements.

    Returns:
        The same structure of the same types; what it does not know is returned as it is.
    """
    if isinstance(value, Tensor):
        return value.float() if value.dtype is torch.bfloat16 else value
    if isinstance(value, BaseDataElement):
        return value.new(**{key: to_float32(item) for key, item in value.items()})
    if isinstance(value, tuple):
        items = [to_float32(item) for item in value]
        return type(value)(*items) if hasattr(value, '_fields') else type(value)(items)
    if isinstance(value, (list, dict)):
        converted = copy(value)
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            converted[key] = to_float32(item)
        return converted
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        converted = copy(value)
        for field in dataclasses.fields(value):  # also of a frozen one
            object.__setattr__(converted, field.name, to_float32(getattr(value, field.name)))
        return converted
    return value


def add_regions(model: nn.Module, parts: Optional[Sequence[str]] = None) -> List[Region]:
    """Let parts of a detector compute in bfloat16 and return float32.

    Args:
        model: A detector.
        parts: Names of its modules. By default those of ``PARTS`` that it has. A container
            that is never called itself, such as the ``ModuleList`` of heads in Cascade R-CNN,
            stands for its entries.

    Returns:
        A region for each part that can be called.

    Raises:
        ValueError: If the model has no part of a given name, or none of ``PARTS``.
    """
    parts = [parts] if isinstance(parts, str) else parts
    names = PARTS if parts is None else parts
    found = {name: module for name in names for module in [_submodule(model, name)] if module is not None}
    missing = [name for name in names if name not in found]
    if not found or (parts is not None and missing):
        raise ValueError(
            f'{type(model).__name__} has none of the parts {", ".join(missing)}; '
            f'it has {", ".join(name for name, _ in model.named_children())}'
        )
    called = dict(entry for name, module in found.items() for entry in _called(name, module))
    return [_region(name, module) for name, module in called.items()]


def autocast_parts(model: nn.Module, parts: Optional[Sequence[str]] = None) -> List[str]:
    """Let parts of a detector compute in bfloat16; the names of what can be called among them.

    What lies between them, RoIAlign, losses and the suppression of boxes, stays in ``float32``.
    Arguments and errors are those of ``add_regions``.
    """
    return [region.name for region in add_regions(model, parts)]


def _submodule(model: nn.Module, name: str) -> Optional[nn.Module]:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _called(name: str, module: nn.Module) -> Iterator[Tuple[str, nn.Module]]:
    """The module itself, or what a container without a forward pass holds."""
    if type(module).forward is not nn.Module.forward:
        yield name, module
        return
    for entry, child in module.named_children():
        yield from _called(f'{name}.{entry}', child)


def _region(name: str, module: nn.Module) -> Region:
    """The module's region, a new one if it has none."""
    for hook in module._forward_pre_hooks.values():
        if isinstance(getattr(hook, '__self__', None), Region):
            return hook.__self__
    region = Region(name)
    module.register_forward_pre_hook(region.enter)
    module.register_forward_hook(region.leave, always_call=True)
    for inner in module.modules():
        if any(base.__module__.startswith('mmcv.ops') for base in type(inner).__mro__):
            kept = _Float32()
            inner.register_forward_pre_hook(kept.enter, with_kwargs=True)
            inner.register_forward_hook(kept.leave, always_call=True)
    return region
