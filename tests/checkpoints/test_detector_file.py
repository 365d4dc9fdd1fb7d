import numpy as np
import pytest
import torch
from mmdet.registry import MODELS
from mmengine.registry import init_default_scope

from eca_mmdet import load_detector
from eca_mmdet.checkpoints import convert_file, detector_to_1x, write_checkpoint
from eca_mmdet.checkpoints.detector_configs import detector_config


def random_detector(name):
    """Build a detector with 80 classes whose random detections include some with high scores."""
    init_default_scope('mmdet')
    cfg = detector_config(f'legacy/{name}_ecanet50_fpn_1x_v1.py', [5, 3, 7, 1], 80)
    cfg.test_dataloader.dataset.pipeline[1].scale = (128, 96)
    detector = MODELS.build(cfg.model)
    detector.init_weights()
    for key, value in detector.state_dict().items():
        if 'fc_cls' in key or 'fc_reg' in key or 'conv_logits' in key:
            torch.nn.init.normal_(value, std=1.0 if 'bias' in key else 0.1)
        if key.endswith('retina_cls.bias'):
            torch.nn.init.normal_(value, mean=-4)
    detector.cfg = cfg
    return detector.eval()


@pytest.mark.parametrize('name', ['faster_rcnn', 'mask_rcnn', 'retinanet'])
def test_round_trip__through_the_1x_format_keeps_the_detections(tmp_path, name):
    from mmdet.apis import inference_detector

    detector = random_detector(name)
    meta = dict(mmdet_version='1.0.0', CLASSES=tuple(f'thing {i}' for i in range(80)))
    old = dict(state_dict=detector_to_1x(detector.state_dict()), meta=meta)
    write_checkpoint(old, tmp_path / 'old.pth')
    report = convert_file(tmp_path / 'old.pth', tmp_path / 'new.pth')
    assert f'eca_mmdet::legacy/{name}_ecanet50_fpn_1x_v1.py' in report
    again = load_detector(tmp_path / 'new.pth')
    again.cfg.test_dataloader.dataset.pipeline[1].scale = (128, 96)
    image = np.random.default_rng(0).integers(0, 255, (75, 100, 3), dtype=np.uint8)
    first, second = (inference_detector(model, image).pred_instances for model in (detector, again))
    assert len(first) > 10
    assert len(first.labels.unique()) > 1
    assert set(first.keys()) == set(second.keys())
    assert ('masks' in first) == (name == 'mask_rcnn')
    for key in first.keys():  # noqa: SIM118 (mmengine's InstanceData is no dict)
        assert torch.equal(first[key], second[key]), key
    assert again.dataset_meta['classes'] == meta['CLASSES']


def test_convert_file__writes_detectors_only_in_the_mmdet_format(tmp_path):
    detector = random_detector('retinanet')
    old = dict(state_dict=detector_to_1x(detector.state_dict()), meta=dict(mmdet_version='1.0.0'))
    write_checkpoint(old, tmp_path / 'old.pth')
    with pytest.raises(ValueError, match='old.pth: a whole detector can only be written for mmdet'):
        convert_file(tmp_path / 'old.pth', tmp_path / 'new.pth', target='timm')
    assert not (tmp_path / 'new.pth').exists()
    convert_file(tmp_path / 'old.pth', tmp_path / 'new.safetensors', source='detector-1.x')
    weights = load_detector(tmp_path / 'new.safetensors').state_dict()
    for name, value in detector.state_dict().items():
        assert torch.equal(weights[name], value), name
