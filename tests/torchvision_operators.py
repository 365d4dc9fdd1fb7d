"""Declare torchvision's operators, so that it can be imported with a CPU build of torch.

There is no torchvision build for that torch (see requirements/tests-no-deps.txt). Its import fails
because it registers shape functions for operators that do not exist. Scripts that tests run in a
separate process import this module before torchvision.
"""

import torch

_pooled = ('roi_align', 'roi_pool', 'ps_roi_align', 'ps_roi_pool', 'deform_conv2d')
library = torch.library.Library('torchvision', 'DEF')
for _name in ('nms', 'qnms', 'qroi_align', *_pooled, *(f'_{name}_backward' for name in _pooled)):
    library.define(f'{_name}(Tensor x) -> Tensor')
