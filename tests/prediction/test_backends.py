"""backend='auto' uses the fastest runtime that a model and the installed packages allow."""

import pytest
from small_exports import CLASSES, detector, require_runtime

from eca_mmdet.prediction import backends
from eca_mmdet.prediction.torch_model import TorchModel

RETINA = 'retinanet_ecanet18_fpn_1x'


def test_default__is_torch():
    assert isinstance(backends.choose_predictor(*detector(RETINA), CLASSES, 'cpu', None), TorchModel)


def test_auto__exports_the_model(monkeypatch, mmengine_log):
    require_runtime()
    monkeypatch.setattr(backends, 'is_installed', lambda name: name == 'onnxruntime')
    found = backends.choose_predictor(*detector(RETINA), CLASSES, 'cpu', 'auto')
    assert type(found).__name__ == 'OnnxModel'
    assert found.classes == CLASSES
    assert 'backend=onnxruntime: the model was exported' in mmengine_log.text


@pytest.mark.parametrize('is_installed', [True, False])
def test_auto__is_torch_where_the_model_or_the_packages_do_not_allow_it(
    is_installed, monkeypatch, mmengine_log
):
    if is_installed:
        require_runtime()
    else:
        monkeypatch.setattr('eca_mmdet.environment.is_installed', lambda name: False)
    model = detector(RETINA, **{'model.test_cfg.nms.type': 'soft_nms'})
    assert isinstance(backends.choose_predictor(*model, CLASSES, 'cpu', 'auto'), TorchModel)
    assert ('soft_nms' if is_installed else 'need onnx') in mmengine_log.text


def test_backend_that_is_not_possible__is_an_error():
    require_runtime()
    model = detector(RETINA, **{'model.test_cfg.nms.type': 'soft_nms'})
    with pytest.raises(ValueError, match='soft_nms'):
        backends.choose_predictor(*model, CLASSES, 'cpu', 'onnxruntime')
