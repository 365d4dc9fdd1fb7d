"""Check settings of mmdet's detectors that would fail in the first iteration."""

from typing import Any, Optional

from mmdet.models import FPN, SingleStageDetector, StandardRoIHead, TwoStageDetector
from mmdet.models.dense_heads import AnchorHead
from mmdet.models.task_modules import AnchorGenerator
from torch import nn


def check_train_cfg(model: Optional[nn.Module]) -> None:
    """Check that mmdet's two-stage detectors and anchor-based single-stage detectors have a ``train_cfg``.

    Raises:
        ValueError: If the loss of the model needs ``train_cfg``, and it is not set.
    """
    if not getattr(model, 'train_cfg', None) and _loss_needs_train_cfg(model):
        raise ValueError(
            f'model.train_cfg is {getattr(model, "train_cfg", None)}, but {type(model).__name__} needs the '
            'assigners and samplers in it for training. Remove the option, or inherit train_cfg from a base '
            'config in mmdet::_base_/models/'
        )


def _loss_needs_train_cfg(model: Any) -> bool:
    """Whether a model is known to need ``train_cfg``. Custom losses are not known."""
    loss = getattr(type(model), 'loss', None)
    if loss is TwoStageDetector.loss:
        roi_head = getattr(model, 'roi_head', None)
        return model.with_rpn or getattr(type(roi_head), 'loss', None) is StandardRoIHead.loss
    if loss is SingleStageDetector.loss:
        methods = ('loss_by_feat', 'get_targets', '_get_targets_single')
        head = type(model.bbox_head)
        is_anchor_head = all(getattr(head, name, None) is getattr(AnchorHead, name) for name in methods)
        return is_anchor_head and not hasattr(model.bbox_head, 'assigner')
    return False


def check_anchor_levels(model: Optional[nn.Module]) -> None:
    """Check that the anchor generator has one stride for each output of the neck.

    This applies to mmdet's ``FPN``, ``AnchorHead`` and ``AnchorGenerator``, and to subclasses that use their
    methods.

    Raises:
        ValueError: If the numbers differ.
    """
    neck: Any = getattr(model, 'neck', None)
    if getattr(type(neck), 'forward', None) is not FPN.forward:
        return
    for detector, name in ((TwoStageDetector, 'rpn_head'), (SingleStageDetector, 'bbox_head')):
        head = getattr(model, name, None)
        generator: Any = getattr(head, 'prior_generator', None)
        is_known = (
            getattr(type(model), 'extract_feat', None) is detector.extract_feat
            and getattr(type(head), 'forward', None) is AnchorHead.forward
            and getattr(type(generator), 'grid_priors', None) is AnchorGenerator.grid_priors
        )
        if is_known and generator.num_levels != neck.num_outs:
            raise ValueError(
                f'model.{name}.anchor_generator.strides has {generator.num_levels} values, but model.neck '
                f'has {neck.num_outs} outputs. Set one stride for each output of the neck'
            )
