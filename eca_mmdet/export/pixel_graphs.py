"""Segmentation models and image classifiers as graphs."""

from typing import Any, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .traceable_layers import with_traceable_layers


class SegmentationGraph(nn.Module):
    """mmseg's ``EncoderDecoder.predict`` for one image, in the mode ``whole``.

    Args:
        model: An ``EncoderDecoder`` of mmseg.
    """

    inputs = ('image', 'size', 'original_size')
    outputs = ('segmentation',)

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model: Any = with_traceable_layers(model)

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
        self.model: Any = with_traceable_layers(model)

    def forward(self, image: Tensor) -> Tensor:
        """Return the probabilities of the classes ``(N, C)`` for images ``(N, 3, H, W)``."""
        return self.model.head(self.model.extract_feat(image)).softmax(1)


def _resize(x: Tensor, size: Sequence[Any], align_corners: bool) -> Tensor:
    return F.interpolate(x, size=tuple(size), mode='bilinear', align_corners=align_corners)
