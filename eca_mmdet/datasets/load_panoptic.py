"""Load panoptic annotations without ``panopticapi``."""

from typing import Any

from mmdet.datasets.transforms import LoadPanopticAnnotations
from mmdet.registry import TRANSFORMS

from ..panoptic_png import rgb_to_id


@TRANSFORMS.register_module()
class LoadPanoptic(LoadPanopticAnnotations):
    """Load boxes, masks and the semantic segmentation of an image from its panoptic PNG file.

    The arguments and results are those of mmdet's ``LoadPanopticAnnotations``.
    """

    def __init__(
        self,
        with_bbox: bool = True,
        with_label: bool = True,
        with_mask: bool = True,
        with_seg: bool = True,
        **kwargs: Any,
    ) -> None:
        # Skips the constructor of LoadPanopticAnnotations, which needs panopticapi.
        super(LoadPanopticAnnotations, self).__init__(
            with_bbox=with_bbox, with_label=with_label, with_mask=with_mask, with_seg=with_seg, **kwargs
        )
        self.rgb2id = rgb_to_id
