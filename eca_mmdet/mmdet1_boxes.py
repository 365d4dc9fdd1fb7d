"""What mmdet 1.x computed for boxes, in mmdet 3.x's coordinates.

mmdet 1.x named a box by its first and last pixel, so its width was ``x2 - x1 + 1``; mmdet 3.x
names it by its edges. With ``x2' = x2 + 1`` (and ``y2'``) the old box coding, overlap, suppression
and choice of pyramid level become, term by term, those of 3.x, and results are boxes as 3.x's
evaluation and data sets know them. What stays different is here: anchors, clipping and RoIAlign.

mmdet 3.3's own legacy parts keep the old coordinates but not the old results: its coder leaves
out the half pixels of the decoding, and its RoIAlign, level choice and suppression the ``+ 1``.

Not restored, because 3.x does it behind these parts: on an image resized by ``s`` mmdet 1.x scaled
the last pixel and then added 1, where an edge is scaled here (``1 - 1 / s`` pixels less); masks
are pasted by 3.x's interpolation; and RetinaNet keeps the best 1000 pairs of anchor and class of
a level above the threshold, not those of the best 1000 anchors.
"""

from typing import Any, Dict, List

from mmdet.models.task_modules.coders import DeltaXYWHBBoxCoder
from mmdet.models.task_modules.prior_generators import LegacyAnchorGenerator
from mmengine.registry import MODELS, TASK_UTILS
from torch import Tensor, nn

from .layers.roi_align import RoIAlign
from .layers.roi_regions import Grid
from .roi_extractors import FastRoIExtractor


@TASK_UTILS.register_module()
class Legacy1xAnchorGenerator(LegacyAnchorGenerator):
    """The old rounded anchors, up to the edge behind their last pixel."""

    def gen_single_level_base_anchors(self, *args, **kwargs) -> Tensor:
        """Anchors around the first cell of a level, (A, 4)."""
        anchors = super().gen_single_level_base_anchors(*args, **kwargs)
        return anchors + anchors.new_tensor([0, 0, 1, 1])


@TASK_UTILS.register_module()
class Legacy1xBBoxCoder(DeltaXYWHBBoxCoder):
    """mmdet's coder with the old clipping: a box outside the image keeps the pixel at its border."""

    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, max_shape: Any = None, **kwargs) -> Tensor:
        """Apply deltas to boxes.

        Args:
            bboxes: Boxes, (N, 4).
            pred_bboxes: Deltas, (N, 4 * classes).
            max_shape: Height and width of the image, where boxes are to be clipped.
            **kwargs: As of mmdet's coder.

        Returns:
            Boxes, (N, 4 * classes).
        """
        boxes = super().decode(bboxes, pred_bboxes, max_shape, **kwargs)
        if max_shape is None:
            return boxes
        height, width = max_shape[:2]
        low, high = boxes.new_tensor([[0, 0, 1, 1], [width - 1, height - 1, width, height]])
        return boxes.unflatten(-1, (-1, 4)).clamp(low, high).flatten(-2)


class _RoIAlign1x(RoIAlign):
    """Pixels have their centres at whole numbers, and a RoI may be smaller than a cell.

    mmcv's ``aligned=False`` has the first but widens RoIs to one cell, ``aligned=True`` has the
    second but moves the grid by half a cell, which is moved back here.
    """

    @property
    def grid(self) -> Grid:
        """How RoIs are divided and sampled."""
        return super().grid._replace(offset=0.0)

    def forward_mmcv(self, features: Tensor, rois: Tensor) -> Tensor:
        """mmcv's operator on moved RoIs."""
        half_cell = 0.5 / self.spatial_scale
        return super().forward_mmcv(features, rois + rois.new_tensor([0] + [half_cell] * 4))


@MODELS.register_module()
class Legacy1xRoIExtractor(FastRoIExtractor):
    """An extractor with the old RoIAlign.

    Raises:
        ValueError: If ``roi_layer`` is not ``RoIAlign`` with ``aligned=False``.
    """

    def build_roi_layers(self, layer_cfg: Dict[str, Any], featmap_strides: List[int]) -> nn.ModuleList:
        """Build one RoIAlign per level."""
        if layer_cfg.get('type') != 'RoIAlign' or layer_cfg.get('aligned', True):
            raise ValueError(
                f"Legacy1xRoIExtractor takes roi_layer=dict(type='RoIAlign', aligned=False), got {layer_cfg}"
            )
        return super().build_roi_layers({**layer_cfg, 'type': _RoIAlign1x, 'aligned': True}, featmap_strides)
