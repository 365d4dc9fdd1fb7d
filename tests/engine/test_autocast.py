"""Parts of a detector compute in bfloat16 and return float32."""

import copy

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs

from eca_mmdet.apis import load_config
from eca_mmdet.engine import autocast_parts

MASK_RCNN = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')
RETINANET = str(ROOT / 'configs/retinanet_ecanet18_fpn_1x.py')


def build(config):
    torch.manual_seed(0)
    model = load_config(config).model
    model.backbone.init_cfg = None  # without ImageNet weights
    return MODELS.build(model).train()


def compute_losses(model):
    classes = model.bbox_head.num_classes if hasattr(model, 'bbox_head') else 3
    torch.manual_seed(0)
    inputs = demo_mm_inputs(2, (3, 64, 96), num_items=[4, 4], num_classes=classes, with_mask=True)
    torch.manual_seed(0)
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    return {name: sum(value) if isinstance(value, list) else value for name, value in losses.items()}


@pytest.mark.parametrize(
    ('config', 'count', 'compared'),
    [(MASK_RCNN, 5, ['loss_rpn_cls', 'loss_rpn_bbox']), (RETINANET, 3, ['loss_cls', 'loss_bbox'])],
)
def test_parts__compute_in_bfloat16_and_return_float32(config, count, compared):
    model = build(config)
    expected = compute_losses(model)
    parts = autocast_parts(model)
    assert len(parts) == count
    inside, outside = [], []
    model.neck.lateral_convs[0].conv.register_forward_hook(lambda m, i, o: inside.append(o.dtype))
    model.neck.register_forward_hook(lambda m, i, o: outside.extend(t.dtype for t in o))
    losses = compute_losses(model)
    assert inside == [torch.bfloat16]
    assert set(outside) == {torch.float32}
    assert not torch.is_autocast_enabled('cpu')
    for name in compared:
        torch.testing.assert_close(losses[name], expected[name], rtol=0.02, atol=0.01)
    sum(losses[name] for name in losses if 'loss' in name).backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_copy__uses_its_own_weights():
    model = build(MASK_RCNN)
    autocast_parts(model)
    model_copy = copy.deepcopy(model).eval()
    torch.nn.init.zeros_(model_copy.neck.fpn_convs[0].conv.weight)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features, features_of_copy = model.eval().extract_feat(x)[0], model_copy.extract_feat(x)[0]
    assert features.abs().max() > 0
    assert features_of_copy.abs().max() == 0


def test_error_in_a_part__disables_autocast():
    model = build(MASK_RCNN)
    autocast_parts(model)
    with pytest.raises(RuntimeError):
        model.backbone(torch.randn(1, 4, 32, 32))
    assert not torch.is_autocast_enabled('cpu')


def test_missing_part__is_an_error_that_lists_the_parts():
    with pytest.raises(ValueError, match='has no parts named neck; it has 0'):
        autocast_parts(torch.nn.Sequential(torch.nn.ReLU()), ['neck'])
