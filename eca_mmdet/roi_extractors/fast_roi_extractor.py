"""mmdet's RoI extractor with the RoIAlign for CPUs."""

from typing import Any, Dict, List, Optional, Tuple

import torch
from mmcv import ops
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmengine.registry import MODELS
from torch import Tensor, nn

from ..layers.roi_align import RoIAlign, roi_align


@MODELS.register_module()
class FastRoIExtractor(SingleRoIExtractor):
    """``SingleRoIExtractor`` that pools RoIs with this package's ``RoIAlign``.

    Values, arguments and checkpoints are those of mmdet's extractor. It is the default of this package's
    configs. To use it in a config of your own::

        custom_imports = dict(imports=['eca_mmdet'], allow_failed_imports=False)
        model = dict(
            roi_head=dict(
                bbox_roi_extractor=dict(type='FastRoIExtractor'),
                mask_roi_extractor=dict(type='FastRoIExtractor'),
            )
        )

    On a CPU all levels are pooled at once, without a copy of the output for each. A ``roi_layer`` of
    another type, such as ``RoIPool``, is built and run as in mmdet.
    """

    def build_roi_layers(self, layer_cfg: Dict[str, Any], featmap_strides: List[int]) -> nn.ModuleList:
        """Build one RoI layer per level."""
        if layer_cfg.get('type') in ('RoIAlign', ops.RoIAlign):
            layer_cfg = {**layer_cfg, 'type': RoIAlign}
        return super().build_roi_layers(layer_cfg, featmap_strides)

    def forward(
        self, feats: Tuple[Tensor, ...], rois: Tensor, roi_scale_factor: Optional[float] = None
    ) -> Tensor:
        """Pool each RoI from the level of its size.

        Args:
            feats: Features of each level ``(N, C, H, W)``.
            rois: Batch index and corners ``(R, 5)`` in pixels of the image.
            roi_scale_factor: Factor by which RoIs are enlarged, where there are several levels.

        Returns:
            Pooled features ``(R, C, *output_size)``.
        """
        layers = list(self.roi_layers)[: len(feats)]
        if not _pool_alike(layers) or not layers[0].is_supported(*feats):
            return super().forward(feats, rois, roi_scale_factor)
        levels = None
        if len(feats) > 1:
            rois = rois.to(torch.promote_types(feats[0].dtype, torch.float32))
            levels = self.map_roi_levels(rois, len(feats))
            if roi_scale_factor is not None:
                rois = self.roi_rescale(rois, roi_scale_factor)
        return roi_align(feats, rois, [layer.spatial_scale for layer in layers], layers[0].grid, levels)


def _pool_alike(layers: List[nn.Module]) -> bool:
    """Whether the layers differ in the scale only, and a call of one is a call of its ``forward``."""
    return all(
        isinstance(layer, RoIAlign)
        and (layer.grid, layer.pool_mode, layer.use_torchvision)
        == (layers[0].grid, layers[0].pool_mode, layers[0].use_torchvision)
        and not (layer._forward_hooks or layer._forward_pre_hooks)
        and not (layer._backward_hooks or layer._backward_pre_hooks or 'forward' in vars(layer))
        for layer in layers
    )
