"""Exported segmentation models and image classifiers predict what torch predicts, for every image size."""

import numpy as np
import pytest
import torch
from small_exports import CLASSES, build, images, require_runtime
from torch import nn

from eca_mmdet.export.traceable_layers import MatrixPool
from eca_mmdet.prediction.sources import read_image
from eca_mmdet.prediction.torch_model import TorchModel

SMALL = {'model.backbone.base_channels': 8, 'model.backbone.depth': 18, 'model.backbone.init_cfg': None}
HEAD = {
    'model.backbone.eca_kernel_sizes': '3577',
    'model.decode_head.in_channels': 64,
    'model.decode_head.channels': 8,
    'model.decode_head.num_classes': 3,
    'model.auxiliary_head': None,
}
LEVELS = {**HEAD, 'model.decode_head.in_channels': [8, 16, 32, 64]}
SEGMENTORS = {
    'fcn_ecanet50_cityscapes_80k': HEAD,
    'pspnet_ecanet50_cityscapes_80k': HEAD,
    'deeplabv3plus_ecanet50_cityscapes_80k': {
        **HEAD,
        'model.decode_head.c1_in_channels': 8,
        'model.decode_head.c1_channels': 4,
    },
    'upernet_ecanet50_cityscapes_80k': LEVELS,
    'semfpn_ecanet50_cityscapes_80k': {
        **LEVELS,
        'model.neck.in_channels': [8, 16, 32, 64],
        'model.neck.out_channels': 16,
        'model.decode_head.in_channels': [16] * 4,
    },
}
NAME = 'semfpn_ecanet50_cityscapes_80k'


def predict(cfg, model):
    from eca_mmdet.export.onnx_model import OnnxModel
    from eca_mmdet.export.write_onnx import to_onnx

    exported, reference = OnnxModel(to_onnx(cfg, model, CLASSES)), TorchModel(cfg, model, CLASSES)
    sources = [read_image(image) for image in (images()[0], images()[2])]
    return [reference.predict([source])[0] for source in sources], exported.predict(sources)


@pytest.mark.parametrize('name', SEGMENTORS)
def test_segmentation__equals_that_of_torch(name):
    require_runtime()
    pytest.importorskip('mmseg.models')
    scale = {'test_dataloader.dataset.pipeline.1.scale': (96, 64)}
    cfg, model = build(f'segmentation/{name}', {**SMALL, **SEGMENTORS[name], **scale})
    with torch.no_grad():  # each class is the highest somewhere
        logits = model.decode_head(model.extract_feat(torch.randn(1, 3, 64, 96)))
        model.decode_head.conv_seg.bias -= logits.mean((0, 2, 3))
    for one, other in zip(*predict(cfg, model)):
        assert other.segmentation.shape == one.size
        assert len(np.unique(one.segmentation)) > 1
        assert (one.segmentation != other.segmentation).mean() < 1e-3


def test_classification__equals_that_of_torch(mmpretrain):
    require_runtime()
    cfg, model = build(
        'classification/ecanet18_shapes', {'model.backbone.base_channels': 8, 'model.head.in_channels': 64}
    )
    for one, other in zip(*predict(cfg, model)):
        np.testing.assert_allclose(other.probabilities, one.probabilities, atol=1e-5)


@pytest.mark.parametrize('size', [1, 3, (2, 6)])
def test_matrix_pooling__equals_adaptive_pooling(size):
    for shape in ((1, 2, 7, 9), (2, 3, 12, 6)):
        x = torch.randn(shape)
        torch.testing.assert_close(MatrixPool(size)(x), nn.AdaptiveAvgPool2d(size)(x))


def test_size_fixed_by_a_layer__is_found(monkeypatch):
    """Without the replacement of mmseg's Upsample, the trace would fix its size."""
    require_runtime()
    pytest.importorskip('mmseg.models')
    monkeypatch.setattr('eca_mmdet.export.traceable_layers._is_upsample_by_factor', lambda layer: False)
    cfg, model = build('segmentation/semfpn_ecanet50_cityscapes_80k', {**SMALL, **SEGMENTORS[NAME]})
    with pytest.raises(ValueError, match='segmentation of the exported model differ .* fixed size'):
        predict(cfg, model)


@pytest.mark.parametrize('name', ['eca_resnet', 'segmentor'])
def test_torch_export__gives_the_values_of_the_module(name):
    if name == 'segmentor':
        pytest.importorskip('mmseg.models')
        _, model = build(f'segmentation/{NAME}', {**SMALL, **SEGMENTORS[NAME]})
        module = nn.Sequential(model.backbone, model.neck, model.decode_head).eval()
    else:
        from eca_mmdet.backbones import ECAResNet

        module = ECAResNet(depth=18, base_channels=8, eca_kernel_sizes='3577').eval()
    x = torch.randn(2, 3, 64, 96)
    program = torch.export.export(module, (x,))
    expected, found = module(x), program.module()(x)
    for one, other in zip(expected, found):
        torch.testing.assert_close(other, one, atol=1e-5, rtol=1e-4)
