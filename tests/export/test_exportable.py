"""What cannot be exported is said before the work, with the setting that is in the way."""

import pytest
from small_exports import CLASSES, detector

from eca_mmdet.apis import load_config
from eca_mmdet.export import write_onnx
from eca_mmdet.export.config_preparation import preparation_of
from eca_mmdet.export.exportable import require_onnx, task_of_model

MASK, RETINA = 'mask_rcnn_ecanet18_fpn_1x', 'retinanet_ecanet18_fpn_1x'


def test_supported_detectors__have_their_task():
    assert task_of_model(detector(MASK)[1]) == 'instance segmentation'
    assert task_of_model(detector(RETINA)[1]) == 'detection'


@pytest.mark.parametrize(
    ('name', 'option', 'value', 'message'),
    [
        (RETINA, 'model.test_cfg.nms.type', 'soft_nms', r'model\.test_cfg\.nms is .*soft_nms'),
        (RETINA, 'model.test_cfg.nms_pre', -1, r'model\.test_cfg\.nms_pre must be positive'),
        (RETINA, 'model.bbox_head.bbox_coder.clip_border', False, 'has clip_border=False'),
        (MASK, 'model.test_cfg.rpn.nms.max_num', 10, r'model\.test_cfg\.rpn\.nms is .*max_num'),
        (MASK, 'model.roi_head.bbox_roi_extractor.roi_layer.pool_mode', 'max', 'roi_layer has pool_mode'),
        (MASK, 'model.roi_head.mask_roi_extractor', None, 'mask_roi_extractor is shared with the boxes'),
    ],
)
def test_unsupported_setting__is_named(name, option, value, message):
    with pytest.raises(ValueError, match=message):
        task_of_model(detector(name, **{option: value})[1])


def test_other_models__are_refused_before_the_trace(monkeypatch):
    monkeypatch.setattr(write_onnx, 'require_onnx', lambda: None)
    monkeypatch.setattr(write_onnx, '_trace', lambda *_: pytest.fail('traced'))
    cfg, model = detector(RETINA)
    with pytest.raises(
        ValueError, match=r'ECAResNet cannot be exported. Exported can be RetinaNet, Faster R-CNN'
    ):
        write_onnx.to_onnx(cfg, model.backbone, CLASSES)
    with pytest.raises(ValueError, match='--paste-masks is for Mask R-CNN, and this model is for detection'):
        write_onnx.to_onnx(cfg, model, CLASSES, paste_masks=True)


@pytest.mark.parametrize(
    ('step', 'message'),
    [
        (dict(type='RandomCrop', crop_size=(8, 8)), 'the step RandomCrop, which cannot be exported'),
        (dict(type='Resize', scale_factor=2.0), 'Resize of the test pipeline has scale=None'),
        (dict(type='Resize', scale=(8, 8)), 'Resize after another resize or crop'),
    ],
)
def test_unsupported_step_of_the_pipeline__is_named(step, message):
    cfg, model = detector(RETINA)
    pipeline = cfg.test_dataloader.dataset.pipeline
    pipeline[2 if 'after' in message else 1] = step
    with pytest.raises(ValueError, match=message):
        preparation_of(cfg, model.data_preprocessor)


def test_missing_package__is_named_with_its_command(monkeypatch):
    monkeypatch.setattr('eca_mmdet.environment.is_installed', lambda name: name != 'onnx')
    with pytest.raises(
        ImportError, match=r"exported models need onnx:\n    pip install 'eca_mmdet\[export\]'"
    ):
        require_onnx('onnxruntime')


def test_preparation__is_that_of_the_config():
    cfg = load_config(f'eca_mmdet::{RETINA}.py')
    found = preparation_of(cfg, detector(RETINA)[1].data_preprocessor)
    assert (found.size, found.keep_ratio, found.is_rgb, found.pad_divisor) == ((1333, 800), True, True, 32)
    assert found.mean == pytest.approx((123.675, 116.28, 103.53))
