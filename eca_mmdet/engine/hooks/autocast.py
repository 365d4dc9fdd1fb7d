"""Half precision where mmengine has none: on a CPU, whose mmcv operators have no bfloat16."""

from typing import Any, List, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import Tensor, nn

from .learning_rate import model_of

PARTS = ('backbone', 'neck', 'rpn_head', 'bbox_head', 'roi_head.bbox_head', 'roi_head.mask_head')
"""The parts of mmdet's detectors whose forward pass is made of convolutions and products."""


class _Region:
    """Hooks around a module's forward pass; holds no module, so copies of a model get their own."""

    def __init__(self) -> None:
        self.entered: List[Any] = []

    def enter(self, module: nn.Module, args: Any) -> None:
        region = torch.autocast(next(module.parameters()).device.type, torch.bfloat16)
        region.__enter__()
        self.entered.append(region)

    def leave(self, module: nn.Module, args: Any, out: Any) -> Any:
        self.entered.pop().__exit__(None, None, None)
        return _to_float(out)


def _to_float(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return type(value)(map(_to_float, value))
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def autocast_parts(model: nn.Module, parts: Sequence[str] = PARTS) -> List[str]:
    """Let parts of a detector compute in bfloat16 and return ``float32``.

    What lies between them, RoIAlign, losses and the suppression of boxes, stays in ``float32``.

    Args:
        model: A detector.
        parts: Names of its modules; those that it does not have are left out.

    Returns:
        The names of the parts that it has.

    Raises:
        ValueError: If it has none of them.
    """
    modules = dict(model.named_modules())
    found = [name for name in parts if name in modules]
    if not found:
        raise ValueError(
            f'{type(model).__name__} has none of the parts {", ".join(parts)}; '
            f'it has {", ".join(name for name, _ in model.named_children())}'
        )
    for name in found:
        region = _Region()
        modules[name].register_forward_pre_hook(region.enter)
        modules[name].register_forward_hook(region.leave, always_call=True)
    return found


@HOOKS.register_module()
class AutocastHook(Hook):
    """Trains and tests a detector's convolutions in bfloat16, where ``AmpOptimWrapper`` cannot.

    Args:
        parts: Names of the detector's modules that compute so.
    """

    def __init__(self, parts: Sequence[str] = PARTS) -> None:
        self.parts = parts

    def before_run(self, runner: Runner) -> None:
        """Turn it on."""
        found = autocast_parts(model_of(runner), self.parts)
        print_log(f'bfloat16 in {", ".join(found)}; the rest in float32', 'current')
