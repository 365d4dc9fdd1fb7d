"""Write scikit-learn's handwritten digits as a folder of images per class.

The dataset is part of scikit-learn: 1,797 images of 8 x 8 pixels by 43 writers, the test part of "Optical
Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998,
CC BY 4.0). No download is needed. The last ``val`` images are used for validation.
"""

from pathlib import Path
from typing import Union

import cv2
import numpy as np


def make_digits(root: Union[str, Path], val: int = 360) -> Path:
    """Write the digits as ``train/DIGIT/NUMBER.png`` and ``val/DIGIT/NUMBER.png``.

    Args:
        root: Output folder. Existing images of the same names are replaced.
        val: Number of validation images, from 1 to 1796.

    Returns:
        The output folder.

    Raises:
        ImportError: If scikit-learn is not installed.
        ValueError: If ``val`` is out of range.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise ImportError(
            f'the digits are part of scikit-learn, which cannot be imported: {error}\n'
            '    pip install scikit-learn'
        ) from None
    images, labels = load_digits(return_X_y=True)
    if not 1 <= val < len(images):
        raise ValueError(f'val={val}: allowed are 1 to {len(images) - 1}')
    root, first_val = Path(root), len(images) - val
    for number, (image, label) in enumerate(zip(images, labels)):
        folder = root / ('train' if number < first_val else 'val') / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        pixels = (image.reshape(8, 8) * 255 / 16).round().astype(np.uint8)  # values are 0 to 16
        cv2.imwrite(str(folder / f'{number:04d}.png'), pixels)
    return root
