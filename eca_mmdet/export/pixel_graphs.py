"""Segmentation models and image classifiers as graphs."""

from copy import deepcopy
from typing import Any, Sequence, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class SegmentationGraph(nn.Module):
    """mmseg's ``EncoderDecoder.predict`` for one image, in the mode ``whole``.

    Args:
        model: An ``EncoderDecoder`` of mmseg.
    """

    inputs = ('image', 'size', 'original_size')
    outputs = ('segmentation',)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = with_matrix_pooling(model)

    def forward(self, image: Tensor, size: Tensor, original_size: Tensor) -> Tensor:
        """Classify each pixel.

        Args:
            image: ``(1, 3, H, W)``, normalised and padded.
            size: Height and width without padding ``(2,)``, int64.
            original_size: Height and width of the original image ``(2,)``, int64.

        Returns:
            Labels ``original_size``, int64.
        """
        head: Any = self.model.decode_head
        logits = head(self.model.extract_feat(image))
        logits = _resize(logits, image.shape[2:], head.align_corners)
        logits = logits[:, :, : size[0], : size[1]]
        logits = _resize(logits, (original_size[0], original_size[1]), self.model.align_corners)[0]
        if logits.shape[0] == 1:
            return (logits[0].sigmoid() > head.threshold).long()
        return logits.argmax(0)


class ClassificationGraph(nn.Module):
    """mmpretrain's ``ImageClassifier.predict``.

    Args:
        model: An ``ImageClassifier`` of mmpretrain.
    """

    inputs = ('image',)
    outputs = ('probabilities',)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = model

    def forward(self, image: Tensor) -> Tensor:
        """Return the probabilities of the classes ``(N, C)`` for images ``(N, 3, H, W)``."""
        return self.model.head(self.model.extract_feat(image)).softmax(1)


def _resize(x: Tensor, size: Sequence[Any], align_corners: bool) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=align_corners)


def with_matrix_pooling(model: nn.Module) -> nn.Module:
    """Return a copy of a model whose adaptive average poolings work for every input size in a file.

    torch's exporter supports only pooling to one pixel, and sizes that are multiples of the output size.
    """
    model = deepcopy(model)
    for parent in list(model.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d) and child.output_size not in (1, (1, 1)):
                setattr(parent, name, MatrixPool(child.output_size))
    return model


class MatrixPool(nn.Module):
    """Adaptive average pooling as matrix products, with the regions of ``nn.AdaptiveAvgPool2d``.

    Args:
        output_size: Height and width of the output.
    """

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        height, width = (output_size, output_size) if isinstance(output_size, int) else output_size
        self.output_size: Tuple[int, int] = height, width

    def forward(self, x: Tensor) -> Tensor:
        """Pool ``(N, C, H, W)`` to ``(N, C, *output_size)``."""
        rows, columns = (_regions(count, side) for count, side in zip(self.output_size, x.shape[2:]))
        return rows.to(x) @ x @ columns.to(x).T


def _regions(count: int, side: Any) -> Tensor:
    """Return the weight of each of ``side`` pixels in each of ``count`` means: ``(count, side)``."""
    numbers, pixels = torch.arange(count)[:, None], torch.arange(side)
    starts = torch.div(numbers * side, count, rounding_mode='trunc')
    ends = torch.div((numbers + 1) * side + count - 1, count, rounding_mode='trunc')
    is_inside = (pixels >= starts) & (pixels < ends)
    return is_inside.float() / (ends - starts).float()
