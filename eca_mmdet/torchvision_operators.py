"""Let torchvision be imported where its compiled operators cannot be loaded.

MMPretrain needs torchvision for its transforms, which are plain Python. There is no torchvision for some CPU
builds of torch: its import then fails because it registers shape functions for operators that do not exist.
mmdet imports MMPretrain wherever it is installed, so this would also break detection. The operators are
declared here without an implementation. Calling one of them still raises an error.
"""

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import List

import torch

_POOLING = ('roi_align', 'roi_pool', 'ps_roi_align', 'ps_roi_pool', 'deform_conv2d')
OPERATORS = ('nms', 'qnms', 'qroi_align', *_POOLING, *(f'_{name}_backward' for name in _POOLING))
_libraries: List[torch.library.Library] = []  # a declaration ends with its Library object


def declare_missing_operators() -> bool:
    """Declare torchvision's operators if torchvision is installed but its operators cannot be loaded.

    Call it before torchvision is imported. It is safe to call it several times.

    Returns:
        Whether the operators were declared.
    """
    spec = find_spec('torchvision')
    if spec is None or spec.origin is None or 'torchvision' in sys.modules or _libraries:
        return False
    for path in Path(spec.origin).parent.glob('_C*'):
        try:
            torch.ops.load_library(str(path))
            return False
        except OSError:  # built for another torch
            continue
    library = torch.library.Library('torchvision', 'DEF')
    for name in OPERATORS:
        library.define(f'{name}(Tensor x) -> Tensor')
    _libraries.append(library)
    return True
