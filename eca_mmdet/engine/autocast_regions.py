"""Run parts of a detector in bfloat16, and check that they really compute in it."""

import dataclasses
from contextlib import ExitStack
from copy import copy
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple

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
"""Parts of mmdet's detectors whose forward pass consists of convolutions and matrix products."""


class _BFloat16Detector(TorchDispatchMode):
    """Record whether any operation returns a bfloat16 tensor."""

    has_bfloat16 = False

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        self.has_bfloat16 |= isinstance(out, Tensor) and out.dtype is torch.bfloat16
        return out


class Region:
    """Hooks that run a module's forward pass in bfloat16 and convert its output to float32.

    A region holds no reference to the module, so a copy of the model gets its own regions.

    Attributes:
        name: Name of the module.
        has_run: Whether the module has been called.
        has_bfloat16: Whether an operation returned bfloat16 in the first call. Always true in a compiled
            model, where this is not checked.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.has_run = self.has_bfloat16 = False
        self._active: List[Tuple[ExitStack, Optional[_BFloat16Detector]]] = []

    def enter(self, module: nn.Module, args: Any) -> None:
        """Enable autocast before the forward pass."""
        contexts, detector = ExitStack(), None
        weight = next(module.parameters(), None)
        device_type = 'cpu' if weight is None else weight.device.type
        contexts.enter_context(torch.autocast(device_type, torch.bfloat16))
        # A compiler can trace autocast, but not a dispatch mode.
        if not self.has_run and not torch.compiler.is_compiling():
            detector = contexts.enter_context(_BFloat16Detector())
        self._active.append((contexts, detector))

    def leave(self, module: nn.Module, args: Any, out: Any) -> Any:
        """Disable autocast after the forward pass, and return the output in float32."""
        contexts, detector = self._active.pop()
        contexts.close()
        if not self.has_run:
            self.has_run, self.has_bfloat16 = True, detector is None or detector.has_bfloat16
        return to_float32(out)


class _Float32Region:
    """Hooks that run an operator of mmcv in float32; its CPU kernels do not support bfloat16."""

    def __init__(self) -> None:
        self._active: List[ExitStack] = []

    def enter(self, module: nn.Module, args: tuple, kwargs: dict) -> Tuple[tuple, dict]:
        contexts = ExitStack()
        for device_type in {weight.device.type for weight in module.parameters()}:
            contexts.enter_context(torch.autocast(device_type, enabled=False))
        self._active.append(contexts)
        return to_float32(args), to_float32(kwargs)

    def leave(self, module: nn.Module, args: Any, out: Any) -> None:
        self._active.pop().close()


def to_float32(value: Any) -> Any:
    """Convert all bfloat16 tensors in the output of a module to float32.

    Args:
        value: Tensors in nested lists, tuples, dicts, dataclasses or data elements of mmengine.

    Returns:
        A structure of the same types. Objects of other types are returned unchanged.
    """
    if isinstance(value, Tensor):
        return value.float() if value.dtype is torch.bfloat16 else value
    if isinstance(value, BaseDataElement):
        return value.new(**{key: to_float32(item) for key, item in value.items()})
    if isinstance(value, tuple):
        parts = [to_float32(item) for item in value]
        return type(value)(*parts) if hasattr(value, '_fields') else type(value)(parts)
    if isinstance(value, (list, dict)):
        converted: Any = copy(value)
        items: Iterable[tuple] = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            converted[key] = to_float32(item)
        return converted
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        converted = copy(value)
        for field in dataclasses.fields(value):  # a frozen dataclass has no setattr
            object.__setattr__(converted, field.name, to_float32(getattr(value, field.name)))
        return converted
    return value


def add_regions(model: nn.Module, parts: Optional[Sequence[str]] = None) -> List[Region]:
    """Make parts of a detector compute in bfloat16 and return float32.

    Args:
        model: A detector.
        parts: Names of its modules; by default all of ``PARTS`` that it has. A container without a forward
            pass, such as the ``ModuleList`` of heads in Cascade R-CNN, is replaced by its children.

    Returns:
        The region of each part.

    Raises:
        ValueError: If the model lacks one of the named parts, or all of ``PARTS``.
    """
    parts = [parts] if isinstance(parts, str) else parts
    names = PARTS if parts is None else parts
    modules = {name: _get_submodule(model, name) for name in names}
    missing = [name for name, module in modules.items() if module is None]
    if len(missing) == len(modules) or (parts is not None and missing):
        raise ValueError(
            f'{type(model).__name__} has no parts named {", ".join(missing)}; '
            f'it has {", ".join(name for name, _ in model.named_children())}'
        )
    callable_modules: Dict[str, nn.Module] = {}
    for name, module in modules.items():
        if module is not None:
            callable_modules.update(_find_callable(name, module))
    return [_add_region(name, module) for name, module in callable_modules.items()]


def autocast_parts(model: nn.Module, parts: Optional[Sequence[str]] = None) -> List[str]:
    """Make parts of a detector compute in bfloat16.

    Everything between the parts, such as RoIAlign, losses and non-maximum suppression, stays in float32.

    Args:
        model: A detector.
        parts: See ``add_regions``.

    Returns:
        The names of the modules that compute in bfloat16.

    Raises:
        ValueError: See ``add_regions``.
    """
    return [region.name for region in add_regions(model, parts)]


def _get_submodule(model: nn.Module, name: str) -> Optional[nn.Module]:
    try:
        return model.get_submodule(name)
    except AttributeError:
        return None


def _find_callable(name: str, module: nn.Module) -> Iterator[Tuple[str, nn.Module]]:
    """Yield the module, or the callable modules in a container without a forward pass."""
    if type(module).forward is not nn.Module.forward:
        yield name, module
        return
    for child_name, child in module.named_children():
        yield from _find_callable(f'{name}.{child_name}', child)


def _add_region(name: str, module: nn.Module) -> Region:
    """Return the region of a module, and add one if it has none."""
    for hook in module._forward_pre_hooks.values():
        owner = getattr(hook, '__self__', None)
        if isinstance(owner, Region):
            return owner
    region = Region(name)
    module.register_forward_pre_hook(region.enter)
    module.register_forward_hook(region.leave, always_call=True)
    for inner in module.modules():
        if any(base.__module__.startswith('mmcv.ops') for base in type(inner).__mro__):
            float32_region = _Float32Region()
            inner.register_forward_pre_hook(float32_region.enter, with_kwargs=True)
            inner.register_forward_hook(float32_region.leave, always_call=True)
    return region
