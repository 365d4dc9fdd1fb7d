"""An exported detector finds what torch finds, for every image size."""

import numpy as np
import pytest
from small_exports import CLASSES, DETECTORS, detector, images, require_runtime

from eca_mmdet.prediction.sources import read_image
from eca_mmdet.prediction.torch_model import TorchModel


@pytest.fixture(scope='module', autouse=True)
def _runtime():
    require_runtime()


def predict(cfg, model, **options):
    """Return the results of torch and of the exported model for three images."""
    from eca_mmdet.export.onnx_model import OnnxModel
    from eca_mmdet.export.write_onnx import to_onnx

    exported = OnnxModel(to_onnx(cfg, model, CLASSES, **options))
    reference = TorchModel(cfg, model, CLASSES)
    sources = [read_image(image) for image in images()]
    return [reference.predict([source])[0] for source in sources], exported.predict(sources)


def assert_same(expected, found):
    order = np.argsort(-expected.scores, kind='stable')
    np.testing.assert_array_equal(found.labels, expected.labels[order])
    np.testing.assert_allclose(found.boxes, expected.boxes[order], atol=1e-3)
    np.testing.assert_allclose(found.scores, expected.scores[order], atol=1e-5)
    assert found.size == expected.size
    assert (found.masks is None) == (expected.masks is None)
    if found.masks is not None:
        assert found.masks.shape == expected.masks.shape
        assert (found.masks != expected.masks[order]).sum() <= 1e-5 * found.masks.size


@pytest.mark.parametrize('name', DETECTORS)
def test_detections__equal_those_of_torch(name):
    expected, found = predict(*detector(name))
    assert all(len(result) for result in (expected[0], expected[2]))
    for one, other in zip(expected, found):
        assert_same(one, other)


def test_pasted_masks__equal_those_of_torch():
    expected, found = predict(*detector('mask_rcnn_ecanet18_fpn_1x'), paste_masks=True)
    assert expected[0].masks.any()
    for one, other in zip(expected, found):
        assert_same(one, other)


@pytest.mark.parametrize('name', ['retinanet_ecanet18_fpn_1x', 'mask_rcnn_ecanet18_fpn_1x'])
def test_image_without_detections__gives_an_empty_result(name):
    option = 'model.test_cfg.score_thr' if name.startswith('retinanet') else 'model.test_cfg.rcnn.score_thr'
    expected, found = predict(*detector(name, **{option: 1.0}))
    for one, other in zip(expected, found):
        assert len(one) == len(other) == 0
        assert_same(one, other)


def test_rois__of_all_levels_are_pooled():
    """Other tests have RoIs of the finest level only, which leave the others empty."""
    cfg, model = detector('faster_rcnn_ecanet18_fpn_1x')
    extractor = model.roi_head.bbox_roi_extractor
    extractor.finest_scale = 8
    expected, found = predict(cfg, model)
    sides = np.sqrt(np.prod(expected[0].boxes[:, 2:] - expected[0].boxes[:, :2], 1))
    assert len(set(np.floor(np.log2(sides / 8)).clip(0, 3))) > 1
    assert_same(expected[0], found[0])


def test_conventions_of_mmdet_1__equal_those_of_torch():
    coder = {'type': 'Legacy1xBBoxCoder'}
    options = {
        'model.rpn_head.anchor_generator.type': 'Legacy1xAnchorGenerator',
        'model.rpn_head.anchor_generator.center_offset': 0.5,
        'model.rpn_head.bbox_coder': coder | {'target_means': [0.0] * 4, 'target_stds': [1.0] * 4},
        'model.roi_head.bbox_roi_extractor.type': 'Legacy1xRoIExtractor',
        'model.roi_head.bbox_roi_extractor.roi_layer.aligned': False,
        'model.roi_head.bbox_head.bbox_coder': coder | {'target_stds': [0.1, 0.1, 0.2, 0.2]},
    }
    expected, found = predict(*detector('faster_rcnn_ecanet18_fpn_1x', **options))
    assert_same(expected[0], found[0])


def test_fixed_size__pads_and_refuses_larger_images():
    from eca_mmdet.export.onnx_model import OnnxModel
    from eca_mmdet.export.write_onnx import to_onnx

    cfg, model = detector('retinanet_ecanet18_fpn_1x')
    exported = OnnxModel(to_onnx(cfg, model, CLASSES, size=(96, 128)))
    full, _, tall = (read_image(image) for image in images())
    reference = TorchModel(cfg, model, CLASSES)
    assert_same(reference.predict([full])[0], exported.predict([full])[0])  # resized to 96 x 128
    with pytest.raises(ValueError, match='resized to 128 x 60, which does not fit'):
        exported.predict([tall])
    with pytest.raises(ValueError, match='--size 100 128: both sides must be multiples of 32'):
        to_onnx(cfg, model, CLASSES, size=(100, 128))


def test_file__has_only_operators_of_onnx():
    import onnx

    from eca_mmdet.export.write_onnx import to_onnx

    # without its check for other sizes, which the tests above make
    content = to_onnx(*detector('faster_rcnn_ecanet18_fpn_1x'), CLASSES, size=(96, 128))
    model = onnx.load_model_from_string(content)
    assert {node.domain for node in model.graph.node} == {''}
    assert [item.domain for item in model.opset_import] == ['']
