"""Whether something must see the modules and operators of torch that a faster function would replace."""

import torch
from torch.autograd import forward_ad
from torch.nn.modules.module import _has_any_global_hook


def is_observed() -> bool:
    """Whether a trace, a mode, a transform or a global hook must see the modules and operators.

    What this asks for is not public in torch; a torch that lacks it takes the plain pass.
    """
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch.jit.is_scripting():
        return True
    try:
        modes = torch._C._len_torch_dispatch_stack() + torch._C._len_torch_function_stack()
        transformed = torch._C._functorch.peek_interpreter_stack() is not None
        return modes > 0 or transformed or forward_ad._current_level >= 0 or _has_any_global_hook()
    except AttributeError:
        return True
