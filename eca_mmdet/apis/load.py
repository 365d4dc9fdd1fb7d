"""Load a backbone from a checkpoint."""

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

    The architecture is derived from the names and shapes of the tensors. The metadata of the file is not
    trusted.

    Args:
        path: A file that ``tools/convert_weights.py`` wrote or can convert.
        source: The source format (``--source`` of the tool), if it cannot be recognised.
        weights: The container to use, such as ``'model_ema'``, if there are several.
        **options: Further arguments of the backbone, such as ``out_indices``,
            ``frozen_stages`` or ``with_cp``.

    Returns:
        The backbone in evaluation mode, on the CPU.

    Raises:
        FileNotFoundError: If the file does not exist.
        ValueError: If it is not a complete checkpoint of a known format.
        RuntimeError: If the tensors do not fit the network that ``options`` define.
    """
    with prefix_errors(path):
        conversion = convert(read_checkpoint(path, mmap=True), source, weights=weights)
        if conversion.detector:
            raise ValueError(
                'it is a whole detector, not a backbone. Load it with eca_mmdet.load_detector, or load its '
                f'backbone alone with source={BACKBONE_OF_DETECTOR!r}'
            )
    initial = [name for name in conversion.added if COUNTER not in name]
    if initial:
        print_log(f'{path} has no ECA weights: {len(initial)} tensors keep their initial values', level=30)
    backbone = MODELS.build({**conversion.backbone, **options})
    backbone.load_state_dict(conversion.state_dict, strict=True)
    return backbone.eval()
