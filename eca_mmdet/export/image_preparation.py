"""Turn an image into the input of an exported model, with the pixels of the host library's pipeline."""

import math
from dataclasses import dataclass
from typing import Optional, Tuple

import mmcv
import numpy as np

RESIZERS = ('cv2', 'pillow')
INTERPOLATIONS = ('nearest', 'bilinear', 'bicubic', 'area', 'lanczos')


@dataclass(frozen=True)
class Preparation:
    """How an image is prepared, in the order of the fields.

    Args:
        size: Width and height to resize to; ``None`` keeps the size.
        keep_ratio: Whether ``size`` is the largest size, which keeps the ratio of width and height.
        short_edge: Length to resize the short edge to, in place of ``size``.
        interpolation: One of ``INTERPOLATIONS``.
        resizer: The library that resizes, one of ``RESIZERS``. Their values differ.
        crop: Height and width of a crop from the centre, or ``None``.
        is_rgb: Whether the channels are red, green, blue; else blue, green, red.
        mean: Subtracted from each channel of values from 0 to 255.
        std: Divides each channel afterwards.
        pad_divisor: Height and width are padded at the bottom and right to multiples of this.
        pad_size: Height and width to pad to, for models with a fixed input size.
        pad_value: Value of the padding, after the normalisation.
    """

    size: Optional[Tuple[int, int]] = None
    keep_ratio: bool = False
    short_edge: Optional[int] = None
    interpolation: str = 'bilinear'
    resizer: str = 'cv2'
    crop: Optional[Tuple[int, int]] = None
    is_rgb: bool = True
    mean: Tuple[float, ...] = (0.0, 0.0, 0.0)
    std: Tuple[float, ...] = (1.0, 1.0, 1.0)
    pad_divisor: int = 1
    pad_size: Optional[Tuple[int, int]] = None
    pad_value: float = 0.0

    def __call__(self, pixels: np.ndarray) -> Tuple[np.ndarray, Tuple[int, int]]:
        """Prepare an image.

        Args:
            pixels: ``(H, W, 3)``, uint8, BGR.

        Returns:
            The input ``(1, 3, H, W)``, float32, and its height and width without padding.

        Raises:
            ValueError: If the image is larger than a fixed input size.
        """
        image = self._crop(self._resize(pixels))
        height, width = image.shape[:2]
        if self.is_rgb:
            image = image[..., ::-1]
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        normalized = (image.astype(np.float32) - mean) / std
        padded_height, padded_width = self.pad_size or (
            math.ceil(side / self.pad_divisor) * self.pad_divisor for side in (height, width)
        )
        if height > padded_height or width > padded_width:
            raise ValueError(
                f'an image of {pixels.shape[0]} x {pixels.shape[1]} pixels is resized to {height} x {width}, '
                f'which does not fit in the input of the model, {padded_height} x {padded_width}. '
                'Export the model without --size, or with a larger one'
            )
        padded = np.full((1, 3, padded_height, padded_width), self.pad_value, np.float32)
        padded[0, :, :height, :width] = normalized.transpose(2, 0, 1)
        return padded, (height, width)

    def _resize(self, image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        options = dict(interpolation=self.interpolation, backend=self.resizer)
        if self.short_edge is not None:
            if width < height:
                size = self.short_edge, int(self.short_edge * height / width)
            else:
                size = int(self.short_edge * width / height), self.short_edge
            return mmcv.imresize(image, size, **options)
        if self.size is None:
            return image
        return (mmcv.imrescale if self.keep_ratio else mmcv.imresize)(image, self.size, **options)

    def _crop(self, image: np.ndarray) -> np.ndarray:
        if self.crop is None:
            return image
        top, left = (max(0, round((side - crop) / 2)) for side, crop in zip(image.shape, self.crop))
        return image[top : top + self.crop[0], left : left + self.crop[1]]
