"""Say before the work starts what cannot be exported."""

from typing import Any, List, Mapping, Sequence

from torch import nn

from ..environment import require_packages

INSTALL = "pip install 'eca_mmdet[export]'"
_MODELS = 'RetinaNet, Faster R-CNN, Mask R-CNN, EncoderDecoder of mmseg and ImageClassifier of mmpretrain'


def require_onnx(*more: str) -> None:
    """Check that the package onnx is installed, and others, such as ``'onnxruntime'``.

    Raises:
        MissingPackageError: If one is missing, with the command that installs it.
    """
    require_packages(('onnx', *more), 'exported models', INSTALL)


def task_of_model(model: nn.Module) -> str:
    """Return the task of a model, one of ``onnx_description.TASKS``.

    Raises:
        ValueError: If the model cannot be exported, with all reasons.
    """
    name = type(model).__name__
    if name not in _CHECKS or not type(model).__module__.startswith(('mmdet.', 'mmseg.', 'mmpretrain.')):
        raise ValueError(f'{name} cannot be exported. Exported can be {_MODELS}')
    task, check = _CHECKS[name]
    reasons = check(model)
    if reasons:
        raise ValueError(f'this {name} cannot be exported:\n    ' + '\n    '.join(reasons))
    return task


def _check_one_stage(model: Any) -> List[str]:
    head = model.bbox_head
    reasons = [*_check_types(model, bbox_head=('RetinaHead',)), *_check_anchors(head)]
    if head.test_cfg.get('nms_pre', -1) <= 0:
        reasons.append('model.test_cfg.nms_pre must be positive')
    return [*reasons, *_check_nms('model.test_cfg', head.test_cfg)]


def _check_two_stage(model: Any) -> List[str]:
    reasons = _check_types(model, rpn_head=('RPNHead',), roi_head=('StandardRoIHead',))
    if reasons:
        return reasons
    roi_head = model.roi_head
    parts = dict(bbox_head=_BOX_HEADS, bbox_roi_extractor=_EXTRACTORS)
    if roi_head.with_mask:
        if not 0 <= roi_head.test_cfg.mask_thr_binary <= 1:
            reasons.append('model.test_cfg.rcnn.mask_thr_binary is not from 0 to 1')
        parts.update(mask_head=('FCNMaskHead',), mask_roi_extractor=_EXTRACTORS)
        if roi_head.share_roi_extractor:
            reasons.append('model.roi_head.mask_roi_extractor is shared with the boxes. Configure both')
    reasons += [*_check_types(roi_head, 'model.roi_head.', **parts), *_check_anchors(model.rpn_head)]
    if roi_head.with_shared_head:
        reasons.append('model.roi_head has a shared_head')
    if reasons:
        return reasons
    reasons += _check_coder('model.roi_head.bbox_head', roi_head.bbox_head.bbox_coder)
    box_head = roi_head.bbox_head
    if box_head.custom_activation or box_head.custom_cls_channels:
        reasons.append('model.roi_head.bbox_head.loss_cls has its own activation')
    if not (box_head.with_cls and box_head.with_reg):
        reasons.append('model.roi_head.bbox_head has with_cls=False or with_reg=False')
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        layers = getattr(roi_head, name).roi_layers if hasattr(roi_head, name) else []
        if not all(type(layer).__name__.endswith(('RoIAlign', '_RoIAlign1x')) for layer in layers):
            reasons.append(f'model.roi_head.{name}.roi_layer is not RoIAlign')
        elif any(layer.pool_mode != 'avg' or layer.use_torchvision for layer in layers):
            reasons.append(f'model.roi_head.{name}.roi_layer has pool_mode or use_torchvision')
    rpn, rcnn = model.rpn_head.test_cfg, roi_head.test_cfg
    return [
        *reasons,
        *_check_nms('model.test_cfg.rpn', rpn),
        *_check_nms('model.test_cfg.rcnn', rcnn),
    ]


def _check_segmentor(model: Any) -> List[str]:
    if model.test_cfg.get('mode', 'whole') != 'whole':
        return [f'model.test_cfg.mode is {model.test_cfg.mode!r}. Allowed is whole: set it in the config']
    if isinstance(model.decode_head, nn.ModuleList):
        return ['it has several decode heads']
    return _check_types(model, decode_head=_DECODE_HEADS)


def _check_classifier(model: Any) -> List[str]:
    return _check_types(
        model, head=('ClsHead', 'LinearClsHead', 'StackedLinearClsHead', 'DropoutLinearClsHead')
    )


def _check_types(parent: Any, prefix: str = 'model.', **allowed: Sequence[str]) -> List[str]:
    found = {name: type(getattr(parent, name, None)).__name__ for name in allowed}
    return [
        f'{prefix}{name} is {found[name]}. Allowed are {", ".join(names)}'
        for name, names in allowed.items()
        if found[name] not in names
    ]


def _check_anchors(head: Any) -> List[str]:
    generator = type(head.prior_generator).__name__
    reasons = _check_coder('its dense head', head.bbox_coder)
    if generator not in ('AnchorGenerator', 'LegacyAnchorGenerator', 'Legacy1xAnchorGenerator'):
        reasons.append(f'its anchor generator is {generator}. Allowed is AnchorGenerator')
    if getattr(head.loss_cls, 'custom_cls_channels', False):
        reasons.append('the loss_cls of its dense head has its own activation')
    return reasons


def _check_coder(where: str, coder: Any) -> List[str]:
    name = type(coder).__name__
    if name not in ('DeltaXYWHBBoxCoder', 'Legacy1xBBoxCoder'):
        return [f'the box coder of {where} is {name}. Allowed is DeltaXYWHBBoxCoder']
    if coder.clip_border and not coder.use_box_type:
        return []
    return [f'the box coder of {where} has clip_border=False or use_box_type=True']


def _check_nms(where: str, cfg: Mapping[str, Any]) -> List[str]:
    nms = cfg.get('nms') or {}
    unknown = set(nms) - {'type', 'iou_threshold', 'class_agnostic', 'split_thr'}
    if nms.get('type', 'nms') == 'nms' and 'iou_threshold' in nms and not unknown:
        return []
    return [f"{where}.nms is {dict(nms)}. Allowed is dict(type='nms', iou_threshold=...)"]


_EXTRACTORS = ('SingleRoIExtractor', 'FastRoIExtractor', 'Legacy1xRoIExtractor')
_BOX_HEADS = ('BBoxHead', 'ConvFCBBoxHead', 'Shared2FCBBoxHead', 'Shared4Conv1FCBBoxHead')
_DECODE_HEADS = (
    'FCNHead',
    'PSPHead',
    'ASPPHead',
    'DepthwiseSeparableASPPHead',
    'FPNHead',
    'UPerHead',
)
_CHECKS = {
    'RetinaNet': ('detection', _check_one_stage),
    'FasterRCNN': ('detection', _check_two_stage),
    'MaskRCNN': ('instance segmentation', _check_two_stage),
    'EncoderDecoder': ('semantic segmentation', _check_segmentor),
    'ImageClassifier': ('classification', _check_classifier),
}
