"""bfloat16 in the parts of a detector that have it."""

import copy

import pytest
import torch
from conftest import ROOT
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs

from eca_mmdet.apis import load_config
from eca_mmdet.engine import autocast_parts

SHAPES = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')
RETINANET = str(ROOT / 'configs/retinanet_ecanet18_fpn_1x.py')


def detector(config):
    torch.manual_seed(0)
    model = load_config(config).model
    model.backbone.init_cfg = None  # not from ImageNet weights
    return MODELS.build(model).train()


def losses_of(model):
    classes = model.bbox_head.num_classes if hasattr(model, 'bbox_head') else 3
    torch.manual_seed(0)
    inputs = demo_mm_inputs(2, (3, 64, 96), num_items=[4, 4], num_classes=classes, with_mask=True)
    torch.manual_seed(0)
    losses = model(**model.data_preprocessor(inputs, True), mode='loss')
    return {name: sum(value) if isinstance(value, list) else value for name, value in losses.items()}


@pytest.mark.parametrize(
    ('config', 'count', 'compared'),
    [(SHAPES, 5, ['loss_rpn_cls', 'loss_rpn_bbox']), (RETINANET, 3, ['loss_cls', 'loss_bbox'])],
)
def test_parts__compute_in_bfloat16_and_give_float32(config, count, compared):
    model = detector(config)
    expected = losses_of(model)
    parts = autocast_parts(model)
    assert len(parts) == count
    inside, outside = [], []
    model.neck.lateral_convs[0].conv.register_forward_hook(lambda m, i, o: inside.append(o.dtype))
    model.neck.register_forward_hook(lambda m, i, o: outside.extend(t.dtype for t in o))
    losses = losses_of(model)
    assert inside == [torch.bfloat16]
    assert set(outside) == {torch.float32}
    assert not torch.is_autocast_enabled('cpu')
    for name in compared:
        torch.testing.assert_close(losses[name], expected[name], rtol=0.02, atol=0.01)
    sum(losses[name] for name in losses if 'loss' in name).backward()
    assert {p.grad.dtype for p in model.parameters() if p.grad is not None} == {torch.float32}


def test_copy__computes_with_its_own_weights():
    model = detector(SHAPES)
    autocast_parts(model)
    twin = copy.deepcopy(model).eval()
    torch.nn.init.zeros_(twin.neck.fpn_convs[0].conv.weight)
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        features, of_twin = model.eval().extract_feat(x)[0], twin.extract_feat(x)[0]
    assert features.abs().max() > 0
    assert of_twin.abs().max() == 0


def test_error_within_a_part__leaves_the_region():
    model = detector(SHAPES)
    autocast_parts(model)
    with pytest.raises(RuntimeError):
        model.backbone(torch.randn(1, 4, 32, 32))
    assert not torch.is_autocast_enabled('cpu')


def test_no_such_part__names_those_that_there_are():
    with pytest.raises(ValueError, match='has none of the parts neck; it has 0'):
        autocast_parts(torch.nn.Sequential(torch.nn.ReLU()), ['neck'])
