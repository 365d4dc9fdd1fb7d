"""Load converted checkpoints in one line."""

from pathlib import Path
from typing import Union

from torch import nn

from ..backbones import ECAResNet
from ..checkpoints.io import read_checkpoint

# A file may choose among these and nothing else: a config built as it stands could name any
# importable function as its `type`.
_ARGUMENTS = {'depth', 'eca_kernel_sizes'}


def load_backbone(path: Union[str, Path], **options) -> nn.Module:
    """Build the backbone that a converted file describes and load it strictly.

    Args:
        path: A file written by ``tools/convert_weights.py``.
        **options: Further arguments of the backbone, such as ``out_indices``,
            ``frozen_stages`` or ``with_cp``.

    Returns:
        The backbone in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file was not written by the converter.
        RuntimeError: If a tensor is missing, unexpected or of another shape.
    """
    checkpoint = read_checkpoint(path)
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    described = meta.get('backbone') if isinstance(meta, dict) else None
    if not isinstance(described, dict) or set(described) != {'type', *_ARGUMENTS}:
        raise ValueError(
            f'{path} does not say which backbone it holds; convert it with tools/convert_weights.py'
        )
    backbone = ECAResNet(**{**{key: described[key] for key in _ARGUMENTS}, **options})
    backbone.load_state_dict(checkpoint['state_dict'], strict=True)
    return backbone.eval()
