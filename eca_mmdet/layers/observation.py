"""Detect whether something records torch's modules and operators, which a fast function would hide."""

import torch
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook


def is_observed() -> bool:
    """Whether a trace, a compiler, a mode, a transform or a global hook records modules and operators.

    This uses private functions of torch. If a version of torch lacks them, the result is ``True``, so that
    callers use the plain operators.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.jit.is_scripting():
        return True
    try:
        modes = torch._C._len_torch_dispatch_stack() + torch._C._len_torch_function_stack()
        transformed = torch._C._functorch.peek_interpreter_stack() is not None
        return modes > 0 or transformed or forward_ad._current_level >= 0 or _has_any_global_hook()
    except AttributeError:
        return True
