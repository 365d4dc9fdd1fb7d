"""Box conventions of mmdet 1.x: anchors, box clipping and RoIAlign for detectors trained with it.

In mmdet 1.x, ``(x1, y1, x2, y2)`` are the first and last pixel of a box, and its width is ``x2 - x1 + 1``. In
mmdet 3.x, they are the edges of the box, and its width is ``x2 - x1``. With ``x2 + 1`` and ``y2 + 1`` in
place of ``x2`` and ``y2``, the box encoding, overlap, NMS and choice of the pyramid level of mmdet 1.x become
those of mmdet 3.x. Only anchors, clipping and RoIAlign differ, and are implemented here. The results are
boxes in the convention of mmdet 3.x.

mmdet 3.3 also has legacy modules, but their results differ from mmdet 1.x. The box coder ignores the half
pixels in the decoding. RoIAlign, level choice and NMS ignore the ``+ 1``.

These differences from mmdet 1.x remain:

- If an image was resized by a factor ``s``, boxes are smaller by ``1 - 1 / s`` pixels. mmdet 1.x scales the
  last pixel and adds 1 afterwards, mmdet 3.x scales the edge.
- Masks are pasted into the image with the interpolation of mmdet 3.x.
- RetinaNet keeps the best 1000 pairs of anchor and class per level. mmdet 1.x keeps all classes of the best
  1000 anchors.
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
    """Generate the rounded anchors of mmdet 1.x, in the coordinates of mmdet 3.x."""

    def gen_single_level_base_anchors(self, *args, **kwargs) -> Tensor:
        """Return the anchors of the first cell of a level, of shape (A, 4)."""
        anchors = super().gen_single_level_base_anchors(*args, **kwargs)
        return anchors + anchors.new_tensor([0, 0, 1, 1])


@TASK_UTILS.register_module()
class Legacy1xBBoxCoder(DeltaXYWHBBoxCoder):
    """Decode boxes with the clipping of mmdet 1.x: boxes outside the image keep one pixel at its border."""

    def decode(self, bboxes: Tensor, pred_bboxes: Tensor, max_shape: Any = None, **kwargs) -> Tensor:
        """Apply deltas to boxes.

        Args:
            bboxes: Boxes of shape (N, 4).
            pred_bboxes: Deltas of shape (N, 4 * num_classes).
            max_shape: Height and width of the image. Boxes are not clipped if it is ``None``.
            **kwargs: Other arguments of ``DeltaXYWHBBoxCoder.decode``.

        Returns:
            Boxes of shape (N, 4 * num_classes).
        """
        boxes = super().decode(bboxes, pred_bboxes, max_shape, **kwargs)
        if max_shape is None:
            return boxes
        height, width = max_shape[:2]
        low, high = boxes.new_tensor([[0, 0, 1, 1], [width - 1, height - 1, width, height]])
        return boxes.unflatten(-1, (-1, 4)).clamp(low, high).flatten(-2)


class _RoIAlign1x(RoIAlign):
    """RoIAlign with pixel centres at integer coordinates and without a minimum RoI size.

    mmcv's ``aligned=False`` enlarges RoIs to at least one cell. ``aligned=True`` does not, but shifts the
    sampling grid by half a cell. This class reverts that shift.
    """

    @property
    def grid(self) -> Grid:
        """The sampling grid, without the shift by half a cell."""
        return super().grid._replace(offset=0.0)

    def forward_mmcv(self, features: Tensor, rois: Tensor) -> Tensor:
        """Run mmcv's operator on shifted RoIs."""
        half_cell = 0.5 / self.spatial_scale
        return super().forward_mmcv(features, rois + rois.new_tensor([0] + [half_cell] * 4))


@MODELS.register_module()
class Legacy1xRoIExtractor(FastRoIExtractor):
    """Extract RoI features with the RoIAlign of mmdet 1.x.

    Raises:
        ValueError: If ``roi_layer`` is not ``RoIAlign`` with ``aligned=False``.
    """

    def build_roi_layers(self, layer_cfg: Dict[str, Any], featmap_strides: List[int]) -> nn.ModuleList:
        """Build one RoIAlign per level."""
        if layer_cfg.get('type') != 'RoIAlign' or layer_cfg.get('aligned', True):
            raise ValueError(
                f"Legacy1xRoIExtractor needs roi_layer=dict(type='RoIAlign', aligned=False), got {layer_cfg}"
            )
        return super().build_roi_layers({**layer_cfg, 'type': _RoIAlign1x, 'aligned': True}, featmap_strides)
