"""Lets torchvision be imported beside a CPU build of torch, of which it has no build of its own.

Its import registers shape functions for operators that are missing there: they are declared
first. Imported by the scripts that tests run in processes of their own; see tests-no-deps.txt.
"""

import torch

_pooled = ('roi_align', 'roi_pool', 'ps_roi_align', 'ps_roi_pool', 'deform_conv2d')
library = torch.library.Library('torchvision', 'DEF')
for _name in ('nms', 'qnms', 'qroi_align', *_pooled, *(f'_{name}_backward' for name in _pooled)):
    library.define(f'{_name}(Tensor x) -> Tensor')
