"""RetinaNet from an image to boxes, as one graph."""

from typing import Any, Tuple

import torch
from torch import Tensor, nn

from .box_selection import above, batched_nms, decode, drop_small


class OneStageGraph(nn.Module):
    """mmdet's ``RetinaHead.predict`` for one image.

    Args:
        detector: A detector of mmdet whose head is a ``RetinaHead``.
    """

    inputs = ('image', 'size', 'factors')
    outputs = ('boxes', 'scores', 'labels')

    def __init__(self, detector: Any) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor, size: Tensor, factors: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
        """Detect.

        Args:
            image: ``(1, 3, H, W)``, normalised and padded.
            size: Height and width without padding ``(2,)``, int64.
            factors: Factors from pixels of ``image`` to pixels of the original image ``(2,)``: x and y.

        Returns:
            Boxes ``(N, 4)`` in pixels of the original image, scores ``(N,)`` and labels ``(N,)``.
        """
        head: Any = self.detector.bbox_head
        cfg = head.test_cfg
        all_scores, all_deltas = head(self.detector.extract_feat(image))
        anchors = head.prior_generator.grid_priors([x.shape[-2:] for x in all_scores], device=image.device)
        found = []
        for level_scores, level_deltas, level_anchors in zip(all_scores, all_deltas, anchors):
            deltas = level_deltas[0].permute(1, 2, 0).reshape(-1, 4)
            logits = level_scores[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
            probabilities = logits.sigmoid() if head.use_sigmoid_cls else logits.softmax(-1)[:, :-1]
            scores, rows, labels = above(probabilities, cfg.get('score_thr', 0), cfg.nms_pre)
            found.append((scores, labels, deltas[rows], level_anchors[rows]))
        scores, labels, deltas, anchors = (torch.cat(parts) for parts in zip(*found))
        boxes = decode(head.bbox_coder, anchors, deltas, size.float())[:, 0] * factors.repeat(2)
        keep = drop_small(boxes, cfg.get('min_bbox_size', -1))
        boxes, scores, labels = boxes[keep], scores[keep], labels[keep]
        keep = batched_nms(boxes, scores, labels, cfg.nms, cfg.max_per_img)
        return boxes[keep], scores[keep], labels[keep]
