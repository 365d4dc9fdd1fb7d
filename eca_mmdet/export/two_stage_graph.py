"""Faster R-CNN and Mask R-CNN from an image to boxes and masks, as one graph."""

from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor, nn

from ..layers.roi_align import RoIAlign
from .box_selection import above, batched_nms, decode, drop_small
from .mask_pasting import paste_all
from .standard_operators import Pooling, roi_align, top_k


class TwoStageGraph(nn.Module):
    """mmdet's ``TwoStageDetector.predict`` for one image.

    Args:
        detector: A Faster R-CNN or Mask R-CNN of mmdet.
        paste_masks: Whether to return masks of the size of the image instead of 28 x 28 probabilities.
    """

    def __init__(self, detector: Any, paste_masks: bool = False) -> None:
        super().__init__()
        self.detector = detector
        self.inputs: Tuple[str, ...] = ('image', 'size', 'factors')
        self.outputs: Tuple[str, ...] = ('boxes', 'scores', 'labels')
        if detector.roi_head.with_mask:
            self.outputs = (*self.outputs, 'masks')
            self.inputs = (*self.inputs, 'original_size') if paste_masks else self.inputs

    def forward(
        self, image: Tensor, size: Tensor, factors: Tensor, original_size: Optional[Tensor] = None
    ) -> Tuple[Tensor, ...]:
        """Detect.

        Args:
            image: ``(1, 3, H, W)``, normalised and padded.
            size: Height and width without padding ``(2,)``, int64.
            factors: Factors from pixels of ``image`` to pixels of the original image ``(2,)``: x and y.
            original_size: Height and width of the original image ``(2,)``, int64, for pasted masks.

        Returns:
            Boxes ``(N, 4)`` in pixels of the original image, scores ``(N,)``, labels ``(N,)`` and, of a
            Mask R-CNN, masks ``(N, 28, 28)`` from 0 to 1, or ``(N, height, width)``, bool.
        """
        features = self.detector.extract_feat(image)
        size = size.float()
        proposals = self._propose(features, size)
        to_original = factors.repeat(2)
        has_masks = self.detector.roi_head.with_mask
        # As in mmdet, boxes of a Mask R-CNN are suppressed in pixels of the resized image.
        boxes, scores, labels = self._classify(features, proposals, size, None if has_masks else to_original)
        if not has_masks:
            return boxes, scores, labels
        masks = self._segment(features, boxes, labels)
        boxes = boxes * to_original
        if original_size is not None:
            threshold = self.detector.roi_head.test_cfg.mask_thr_binary
            masks = paste_all(masks, boxes, original_size[0], original_size[1], threshold)
        return boxes, scores, labels, masks

    def _propose(self, features: Sequence[Tensor], size: Tensor) -> Tensor:
        """Return proposals ``(R, 4)`` of the RPN."""
        head = self.detector.rpn_head
        cfg = head.test_cfg
        all_scores, all_deltas = head(features)
        anchors = head.prior_generator.grid_priors(
            [x.shape[-2:] for x in all_scores], device=features[0].device
        )
        found = []
        for level, (level_scores, level_deltas) in enumerate(zip(all_scores, all_deltas)):
            deltas = level_deltas[0].permute(1, 2, 0).reshape(-1, 4)
            logits = level_scores[0].permute(1, 2, 0).reshape(-1, head.cls_out_channels)
            scores = logits.sigmoid()[:, 0] if head.use_sigmoid_cls else logits.softmax(-1)[:, 0]
            rows = torch.arange(scores.shape[0])
            if cfg.nms_pre > 0:
                scores, rows = top_k(scores, cfg.nms_pre)
            found.append((scores, torch.full_like(rows, level), deltas[rows], anchors[level][rows]))
        scores, levels, deltas, boxes = (torch.cat(parts) for parts in zip(*found))
        boxes = decode(head.bbox_coder, boxes, deltas, size)[:, 0]
        keep = drop_small(boxes, cfg.get('min_bbox_size', -1))
        boxes, scores, levels = boxes[keep], scores[keep], levels[keep]
        return boxes[batched_nms(boxes, scores, levels, cfg.nms, cfg.max_per_img)]

    def _classify(
        self, features: Sequence[Tensor], proposals: Tensor, size: Tensor, factors: Any
    ) -> Tuple[Tensor, Tensor, Tensor]:
        """Return boxes ``(N, 4)``, scores and labels ``(N,)``."""
        roi_head = self.detector.roi_head
        head, cfg = roi_head.bbox_head, roi_head.test_cfg
        logits, deltas = head(extract(roi_head.bbox_roi_extractor, features, proposals))
        boxes = decode(head.bbox_coder, proposals, deltas, size)
        boxes = boxes if factors is None else boxes * factors
        scores, rows, labels = above(logits.softmax(-1)[:, :-1], cfg.score_thr)
        boxes = boxes[rows, 0] if head.reg_class_agnostic else boxes[rows, labels]
        keep = batched_nms(boxes, scores, labels, cfg.nms, cfg.max_per_img)
        return boxes[keep], scores[keep], labels[keep]

    def _segment(self, features: Sequence[Tensor], boxes: Tensor, labels: Tensor) -> Tensor:
        """Return the probabilities ``(N, 28, 28)`` of the pixels of each box."""
        roi_head = self.detector.roi_head
        masks = roi_head.mask_head(extract(roi_head.mask_roi_extractor, features, boxes)).sigmoid()
        if roi_head.mask_head.class_agnostic:
            return masks[:, 0]
        return masks[torch.arange(masks.shape[0]), labels]


def extract(extractor: Any, features: Sequence[Tensor], rois: Tensor) -> Tensor:
    """Pool each RoI ``(R, 4)`` from the level of its size, as ``SingleRoIExtractor`` does.

    Every level is pooled, also where it has no RoIs: a traced model must not depend on the data.
    """
    layers = [pooling_of(layer) for layer in extractor.roi_layers][: len(features)]
    if len(layers) == 1:
        return roi_align(features[0], rois, layers[0])
    sides = rois[:, 2:] - rois[:, :2]
    scale = torch.sqrt(sides[:, 0] * sides[:, 1]) / extractor.finest_scale + 1e-6
    # floor(log2(scale)), clamped; comparisons do not depend on the rounding of the logarithm
    levels = sum((scale >= 2.0**level).long() for level in range(1, len(layers)))
    rows: List[Tensor] = []
    pooled: List[Tensor] = []
    for level, layer in enumerate(layers):
        indices = (levels == level).nonzero().squeeze(1)
        rows.append(indices)
        pooled.append(roi_align(features[level], rois[indices], layer))
    positions = torch.cat(rows)
    order = torch.zeros_like(positions).scatter(0, positions, torch.arange(positions.shape[0]))
    return torch.cat(pooled)[order]


def pooling_of(layer: Any) -> Pooling:
    """Return the arguments of a RoIAlign layer of mmcv or of this package."""
    size, scale = tuple(layer.output_size), float(layer.spatial_scale)
    if not isinstance(layer, RoIAlign) or layer.grid.offset > 0 or layer.grid.smallest_side > 0:
        return Pooling(size, scale, layer.sampling_ratio, bool(layer.aligned))
    # mmdet 1.x: no shift and no smallest size
    return Pooling(size, scale, layer.sampling_ratio, True, 0.5 / scale)
