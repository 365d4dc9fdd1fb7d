"""mmdet's RoI extractor with a RoIAlign that is faster on CPUs."""

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

    Values, arguments and checkpoints are those of mmdet's extractor. The configs of this package use it. To
    use it in another config::

        custom_imports = dict(imports=['eca_mmdet'], allow_failed_imports=False)
        model = dict(
            roi_head=dict(
                bbox_roi_extractor=dict(type='FastRoIExtractor'),
                mask_roi_extractor=dict(type='FastRoIExtractor'),
            )
        )

    On a CPU, all levels are pooled into one output, without a copy for each level. A ``roi_layer`` of another
    type, such as ``RoIPool``, is built and run as in mmdet.
    """

    def build_roi_layers(self, layer_cfg: Dict[str, Any], featmap_strides: List[int]) -> nn.ModuleList:
        """Build one RoI layer per level."""
        if layer_cfg.get('type') in ('RoIAlign', ops.RoIAlign):
            layer_cfg = {**layer_cfg, 'type': RoIAlign}
        return super().build_roi_layers(layer_cfg, featmap_strides)

    def forward(
        self, feats: Tuple[Tensor, ...], rois: Tensor, roi_scale_factor: Optional[float] = None
    ) -> Tensor:
        """Pool each RoI from the level that matches its size.

        Args:
            feats: Features ``(N, C, H, W)`` of each level.
            rois: Batch index and corners ``(R, 5)`` in pixels of the image.
            roi_scale_factor: Factor by which RoIs are enlarged. As in mmdet, it is ignored if there is only
                one level.

        Returns:
            Pooled features ``(R, C, *output_size)``.
        """
        layers = list(self.roi_layers)[: len(feats)]
        if not _differ_in_scale_only(layers) or not layers[0].is_supported(*feats):
            return super().forward(feats, rois, roi_scale_factor)
        levels = None
        if len(feats) > 1:
            rois = rois.to(torch.promote_types(feats[0].dtype, torch.float32))
            levels = self.map_roi_levels(rois, len(feats))
            if roi_scale_factor is not None:
                rois = self.roi_rescale(rois, roi_scale_factor)
        return roi_align(feats, rois, [layer.spatial_scale for layer in layers], layers[0].grid, levels)


def _differ_in_scale_only(layers: List[nn.Module]) -> bool:
    """Whether all layers are unmodified ``RoIAlign`` layers that differ in ``spatial_scale`` only."""
    if not all(isinstance(layer, RoIAlign) and not _is_modified(layer) for layer in layers):
        return False
    options = [(layer.grid, layer.pool_mode, layer.use_torchvision) for layer in layers]
    return all(other == options[0] for other in options)


def _is_modified(layer: nn.Module) -> bool:
    """Whether the layer has hooks or a patched ``forward``."""
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return any(hooks) or 'forward' in vars(layer)
