"""Write images of single shapes as a folder of images per class, for image classification.

The shapes are those of ``make_shapes``: the same textures and noise, one shape per image.
"""

from pathlib import Path
from typing import Union

import cv2
import numpy as np

from .shapes import CLASSES, draw_single

_SPLITS = ('train', 'val')


def make_single_shapes(
    root: Union[str, Path], train: int = 1200, val: int = 300, size: int = 64, seed: int = 0
) -> Path:
    """Write ``train/CLASS/NUMBER.png`` and ``val/CLASS/NUMBER.png``.

    The same arguments give the same images.

    Args:
        root: Output folder. Existing images of the same names are replaced.
        train: Number of training images. Classes take turns.
        val: Number of validation images.
        size: Height and width of the images in pixels, at least 32.
        seed: Random seed.

    Returns:
        The output folder.

    Raises:
        ValueError: If there are fewer images than classes in a split, or ``size`` is below 32.
    """
    if min(train, val) < len(CLASSES) or size < 32:
        raise ValueError(
            f'train={train}, val={val}, size={size}: train and val must be at least {len(CLASSES)}, size at '
            'least 32'
        )
    for index, (split, count) in enumerate(zip(_SPLITS, (train, val))):
        for number in range(count):
            label = number % len(CLASSES)
            folder = Path(root, split, CLASSES[label])
            folder.mkdir(parents=True, exist_ok=True)
            # The seeds differ from those of make_shapes, whose images these classifiers may be trained for.
            image = draw_single(np.random.default_rng([seed, 2 + index, number]), label, size)
            cv2.imwrite(str(folder / f'{number:05d}.png'), image)
    return Path(root)
