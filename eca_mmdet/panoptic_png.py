"""Read the segment ids of COCO's panoptic PNG files.

mmdet uses the package ``panopticapi`` for this, which is not on PyPI. The id of a pixel is ``R + 256 G +
65536 B``, and 0 means unlabelled (void): https://cocodataset.org/#format-data.
"""

from pathlib import Path
from typing import Any, Optional, Union

import mmcv
import numpy as np
from mmengine.fileio import get

VOID = 0
"""The id of unlabelled pixels."""


def rgb_to_id(image: np.ndarray) -> np.ndarray:
    """Convert the colors of an image of shape ``(H, W, 3)`` in RGB order to segment ids ``(H, W)``."""
    return image.astype(np.int32) @ np.array([1, 256, 65536], np.int32)


def read_segment_ids(path: Union[str, Path], backend_args: Optional[dict] = None) -> np.ndarray:
    """Read a panoptic PNG file.

    Args:
        path: The file.
        backend_args: The storage backend of mmengine, by default that of the path.

    Returns:
        The segment id of each pixel, of shape ``(H, W)``.

    Raises:
        ValueError: If the file is not an image.
    """
    image: Any = mmcv.imfrombytes(get(path, backend_args), flag='color', channel_order='rgb')
    if image is None:
        raise ValueError(f'{path} is not an image. It must be a PNG file whose colors are segment ids')
    return rgb_to_id(image)
