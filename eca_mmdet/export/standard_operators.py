"""Operations that torch's exporter does not know, as functions that become standard ONNX operators.

In torch they compute with mmcv's operators. In a file they are ``TopK``, ``NonMaxSuppression`` and
``RoiAlign``, which every runtime has.
"""

from typing import Any, NamedTuple, Tuple

import torch
from mmcv import ops
from torch import Tensor

OPSET = 17
"""Version of the ONNX operators. RoiAlign has both alignments from 16 on."""


class Pooling(NamedTuple):
    """The arguments of one RoIAlign layer."""

    output_size: Tuple[int, int]
    scale: float
    sampling_ratio: int
    is_aligned: bool  # whether RoIs are shifted by half a cell and may be smaller than one
    shift: float = 0.0  # added to the corners of RoIs, in pixels of the image


def top_k(scores: Tensor, count: int) -> Tuple[Tensor, Tensor]:
    """Return the ``count`` highest of the scores ``(N,)`` and their indices, or all if there are fewer."""
    return _TopK.apply(scores, count)


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, max_count: int) -> Tensor:
    """Return the indices of at most ``max_count`` boxes ``(N, 4)`` that remain, best first."""
    keep = _NMS.apply(boxes, scores, iou_threshold, max_count)
    # The order of the operator's output is not specified.
    return keep[top_k(scores[keep], max_count)[1]]


def roi_align(features: Tensor, rois: Tensor, pooling: Pooling) -> Tensor:
    """Pool RoIs ``(R, 4)`` of the first image of ``(1, C, H, W)`` to ``(R, C, *output_size)``."""
    return _RoIAlign.apply(features, rois + pooling.shift, *pooling[:4])


def _integers(g: Any, *values: int) -> Any:
    return g.op('Constant', value_t=torch.tensor(values, dtype=torch.int64))


class _TopK(torch.autograd.Function):
    @staticmethod
    def forward(ctx, scores, count):
        values, order = scores.sort(descending=True, stable=True)
        return values[:count], order[:count]

    @staticmethod
    def symbolic(g, scores, count):
        number = g.op('Min', g.op('Shape', scores), _integers(g, count))
        return g.op('TopK', scores, number, axis_i=0, largest_i=1, sorted_i=1, outputs=2)


class _NMS(torch.autograd.Function):
    @staticmethod
    def forward(ctx, boxes, scores, iou_threshold, max_count):
        if not len(boxes):
            return scores.new_zeros(0, dtype=torch.long)
        return ops.nms(boxes, scores, iou_threshold)[1][:max_count]

    @staticmethod
    def symbolic(g, boxes, scores, iou_threshold, max_count):
        selected = g.op(
            'NonMaxSuppression',
            g.op('Unsqueeze', boxes, _integers(g, 0)),
            g.op('Unsqueeze', scores, _integers(g, 0, 1)),
            _integers(g, max_count),
            g.op('Constant', value_t=torch.tensor([iou_threshold], dtype=torch.float32)),
        )
        column = g.op('Gather', selected, _integers(g, 2), axis_i=1)
        return g.op('Squeeze', column, _integers(g, 1))


class _RoIAlign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, rois, output_size, scale, sampling_ratio, is_aligned):
        rois = torch.cat([rois.new_zeros(len(rois), 1), rois], 1)
        return ops.roi_align(features, rois, output_size, scale, sampling_ratio, 'avg', is_aligned)

    @staticmethod
    def symbolic(g, features, rois, output_size, scale, sampling_ratio, is_aligned):
        count = g.op('Gather', g.op('Shape', rois), _integers(g, 0), axis_i=0)
        images = g.op('ConstantOfShape', count, value_t=torch.zeros(1, dtype=torch.int64))
        return g.op(
            'RoiAlign',
            features,
            rois,
            images,
            output_height_i=output_size[0],
            output_width_i=output_size[1],
            spatial_scale_f=scale,
            sampling_ratio_i=max(0, sampling_ratio),
            mode_s='avg',
            coordinate_transformation_mode_s='half_pixel' if is_aligned else 'output_half_pixel',
        )
