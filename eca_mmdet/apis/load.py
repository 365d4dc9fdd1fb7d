"""Load checkpoints in one line."""

from pathlib import Path
from typing import Optional, Union

from mmengine.logging import print_log
from mmengine.registry import MODELS
from torch import nn

from ..checkpoints import convert, read_checkpoint
from ..checkpoints.effect import COUNTER
from ..checkpoints.formats import BACKBONE_OF_DETECTOR
from ..checkpoints.io import prefix_errors


def load_backbone(
    path: Union[str, Path], source: Optional[str] = None, weights: Optional[str] = None, **options
) -> nn.Module:
    """Build the backbone that a checkpoint holds and load it strictly.

    The network is read from the names and shapes of the tensors: what a file says about itself,
    which could be anything, is not used.

    Args:
        path: A file of ``tools/convert_weights.py``, or one that it converts.
        source: The format, if it cannot be recognised: a choice of the tool's ``--source``.
        weights: The entry that holds the weights, such as ``'model_ema'``, where there are several.
        **options: Further arguments of the backbone, such as ``out_indices``,
            ``frozen_stages`` or ``with_cp``.

    Returns:
        The backbone in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is not a checkpoint of a known format, whole and of fitting shapes.
        RuntimeError: If ``options`` ask for a network of other sizes.
    """
    with prefix_errors(path):
        conversion = convert(read_checkpoint(path, mmap=True), source, weights=weights)
        if conversion.detector:
            raise ValueError(
                'it is a whole detector, not a backbone: load it with eca_mmdet.load_detector, or its '
                f'backbone alone with source={BACKBONE_OF_DETECTOR!r}'
            )
    started = [name for name in conversion.added if COUNTER not in name]
    if started:
        print_log(f'{path} has no ECA weights: these {len(started)} start from their initial value', level=30)
    backbone = MODELS.build({**conversion.backbone, **options})
    backbone.load_state_dict(conversion.state_dict, strict=True)
    return backbone.eval()
