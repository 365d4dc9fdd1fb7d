"""The RoI extractor against that of mmdet, alone and in a detector."""

import copy

import pytest
import torch
from mmcv import ops
from mmdet.models.roi_heads.roi_extractors import SingleRoIExtractor
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.registry import init_default_scope

from eca_mmdet import FastRoIExtractor
from eca_mmdet.apis import load_config
from eca_mmdet.layers.roi_align import RoIAlign, is_supported

STRIDES = [4, 8, 16, 32]


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmdet')


def build_extractors(levels=4, **options):
    """Build the extractors of mmdet and of this package with the same arguments."""
    layer = dict(type='RoIAlign', output_size=5, sampling_ratio=0)
    arguments = dict(
        roi_layer=layer, out_channels=8, featmap_strides=STRIDES[:levels], finest_scale=14, **options
    )
    return SingleRoIExtractor(**copy.deepcopy(arguments)), FastRoIExtractor(**arguments)


def draw_pyramid(levels=4, dtype=torch.float32, memory_format=torch.contiguous_format):
    features = [torch.randn(2, 8, 128 // s, 96 // s, dtype=dtype) for s in STRIDES[:levels]]
    return [x.contiguous(memory_format=memory_format).requires_grad_() for x in features]


def draw_rois(count=60):
    side = torch.exp(torch.rand(count, 2) * 5)
    start = torch.rand(count, 2) * 100 - 10
    return torch.cat([torch.randint(0, 2, (count, 1)), start, start + side], 1)


def assert_same(theirs, ours, features, rois, **options):
    """Check that outputs and gradients are equal; mmdet's extractor reads contiguous features only."""
    copies = [x.detach().contiguous().requires_grad_() for x in features]
    expected, found = theirs(copies, rois, **options), ours(features, rois, **options)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    if found.requires_grad:
        grad = torch.randn_like(expected)
        grads = torch.autograd.grad(found, features, grad)
        expected_grads = torch.autograd.grad(expected, copies, grad)
        torch.testing.assert_close(grads, expected_grads, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('memory_format', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('roi_scale_factor', [None, 1.3])
@pytest.mark.parametrize('levels', [1, 4])
def test_extractor__equals_that_of_mmdet(levels, roi_scale_factor, memory_format):
    features = draw_pyramid(levels, memory_format=memory_format)
    assert_same(*build_extractors(levels), features, draw_rois(), roi_scale_factor=roi_scale_factor)


def test_levels_without_rois__have_zero_gradients():
    theirs, ours = build_extractors()
    rois = torch.tensor([[0, 4, 4, 12.0, 12], [1, 9, 9, 15, 20]])
    assert ours.map_roi_levels(rois, 4).tolist() == [0, 0]
    assert_same(theirs, ours, draw_pyramid(), rois)


@pytest.mark.parametrize('levels', [1, 4])
def test_no_rois__give_an_empty_output(levels):
    theirs, ours = build_extractors(levels)
    found, expected = (extractor(draw_pyramid(levels), torch.empty(0, 5)) for extractor in (ours, theirs))
    assert found.shape == expected.shape == (0, 8, 5, 5)


def test_nan_rois__give_zeros_as_in_mmdet():
    theirs, ours = build_extractors()
    rois = draw_rois(6)
    rois[[1, 4]] = float('nan')
    assert_same(theirs, ours, draw_pyramid(), rois)


def test_bfloat16_features__do_not_round_the_rois():
    _, ours = build_extractors()
    features, rois = [x.detach() for x in draw_pyramid(dtype=torch.bfloat16)], draw_rois()
    expected = ours([x.float() for x in features], rois)
    torch.testing.assert_close(ours(features, rois), expected.bfloat16(), rtol=0, atol=0)


def test_hook_on_a_layer__is_called():
    theirs, ours = build_extractors()
    shapes = []
    ours.roi_layers[1].register_forward_hook(lambda layer, args, out: shapes.append(out.shape))
    assert_same(theirs, ours, draw_pyramid(memory_format=torch.channels_last), draw_rois())
    assert len(shapes) == 1


def test_layers_that_differ__are_called_one_by_one():
    theirs, ours = build_extractors()
    for extractor in (theirs, ours):
        extractor.roi_layers[2].sampling_ratio = 3
    assert_same(theirs, ours, draw_pyramid(), draw_rois())


def test_other_roi_layers__are_those_of_mmcv():
    cfg = dict(type='RoIPool', output_size=5)
    extractor = FastRoIExtractor(roi_layer=cfg, out_channels=8, featmap_strides=STRIDES)
    assert {type(layer) for layer in extractor.roi_layers} == {ops.RoIPool}
    assert cfg == dict(type='RoIPool', output_size=5)


@pytest.mark.parametrize('layer_type', ['RoIAlign', ops.RoIAlign])
def test_roi_align__is_replaced_if_given_by_name_or_class(layer_type):
    cfg = dict(type=layer_type, output_size=5)
    extractor = FastRoIExtractor(roi_layer=cfg, out_channels=8, featmap_strides=STRIDES)
    assert {type(layer) for layer in extractor.roi_layers} == {RoIAlign}
    assert [layer.spatial_scale for layer in extractor.roi_layers] == [1 / s for s in STRIDES]


def test_trace__contains_the_operator_of_mmcv():
    _, ours = build_extractors()
    features, rois = tuple(x.detach() for x in draw_pyramid()), draw_rois()
    traced = torch.jit.trace(lambda *xs: ours(xs, rois), features, check_trace=False)
    assert 'RoIAlignFunction' in str(traced.graph)


@pytest.fixture(scope='module')
def detectors():
    """A small Mask R-CNN with the extractors of mmdet and of this package, with the same weights."""
    init_default_scope('mmdet')
    cfg = load_config('eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py').model
    ours = MODELS.build(copy.deepcopy(cfg))
    for name in ('bbox_roi_extractor', 'mask_roi_extractor'):
        assert cfg.roi_head[name].type == 'FastRoIExtractor'
        cfg.roi_head[name].type = 'SingleRoIExtractor'
    theirs = MODELS.build(cfg)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    return theirs, ours


def run(model, mode):
    """Return losses and gradients (mode ``loss``), or detections (mode ``predict``)."""
    inputs = demo_mm_inputs(2, [[3, 96, 128], [3, 128, 96]], num_classes=3, with_mask=True)
    data = model.data_preprocessor(inputs, training=mode == 'loss')
    torch.manual_seed(0)  # for the samplers
    if mode == 'predict':
        with torch.no_grad():
            return [sample.pred_instances for sample in model.eval()(**data, mode='predict')]
    loss, terms = model.train().parse_losses(model(**data, mode='loss'))
    weights = {name: p for name, p in model.named_parameters() if p.requires_grad}
    return terms, dict(zip(weights, torch.autograd.grad(loss, list(weights.values()))))


def test_detector__has_the_same_losses(detectors):
    (expected, _), (found, _) = (run(model, 'loss') for model in detectors)
    assert 'loss_mask' in expected
    torch.testing.assert_close(dict(found), dict(expected), rtol=1e-5, atol=1e-5)


def test_detector__has_the_same_gradients(detectors):
    (_, expected), (_, found) = (run(model, 'loss') for model in detectors)
    for name, grad in expected.items():  # rounding of a ReLU's input near zero changes single elements
        assert (found[name] - grad).norm() <= 1e-3 * grad.norm() + 1e-7, name


def test_detector__finds_the_same_objects(detectors):
    theirs, ours = (run(model, 'predict') for model in detectors)
    for found, expected in zip(ours, theirs):
        assert len(expected) > 0
        assert found.labels.tolist() == expected.labels.tolist()
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-4, atol=1e-3)
        assert (found.masks != expected.masks).float().mean() < 1e-4


def test_detector__does_not_call_the_roi_align_of_mmcv(detectors, monkeypatch):
    monkeypatch.setattr(ops.RoIAlign, 'forward', None)
    assert is_supported(torch.zeros(1, 1, 1, 1))
    assert len(run(detectors[1], 'predict')) == 2
