"""The RoI extractor against mmdet's, alone and in a detector."""

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


def extractors(levels=4, **options):
    """mmdet's and ours, with the same arguments."""
    layer = dict(type='RoIAlign', output_size=5, sampling_ratio=0)
    arguments = dict(
        roi_layer=layer, out_channels=8, featmap_strides=STRIDES[:levels], finest_scale=14, **options
    )
    return SingleRoIExtractor(**copy.deepcopy(arguments)), FastRoIExtractor(**arguments)


def pyramid(levels=4, dtype=torch.float32, form=torch.contiguous_format):
    features = [torch.randn(2, 8, 128 // s, 96 // s, dtype=dtype) for s in STRIDES[:levels]]
    return [x.contiguous(memory_format=form).requires_grad_() for x in features]


def some_rois(count=60):
    side = torch.exp(torch.rand(count, 2) * 5)
    start = torch.rand(count, 2) * 100 - 10
    return torch.cat([torch.randint(0, 2, (count, 1)), start, start + side], 1)


def compare(theirs, ours, features, rois, **options):
    """Equal outputs, and equal gradients of every level; mmdet's reads contiguous features only."""
    copies = [x.detach().contiguous().requires_grad_() for x in features]
    expected, found = theirs(copies, rois, **options), ours(features, rois, **options)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    if found.requires_grad:
        grad = torch.randn_like(expected)
        for grad_x, wanted in zip(
            torch.autograd.grad(found, features, grad), torch.autograd.grad(expected, copies, grad)
        ):
            torch.testing.assert_close(grad_x, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize('form', [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize('roi_scale_factor', [None, 1.3])
@pytest.mark.parametrize('levels', [1, 4])
def test_extractor__equals_mmdets(levels, roi_scale_factor, form):
    features = pyramid(levels, form=form)
    compare(*extractors(levels), features, some_rois(), roi_scale_factor=roi_scale_factor)


def test_levels_without_rois__get_gradients_of_zero():
    theirs, ours = extractors()
    rois = torch.tensor([[0, 4, 4, 12.0, 12], [1, 9, 9, 15, 20]])
    assert ours.map_roi_levels(rois, 4).tolist() == [0, 0]
    compare(theirs, ours, pyramid(), rois)


@pytest.mark.parametrize('levels', [1, 4])
def test_no_rois__give_an_empty_output_as_mmdets(levels):
    theirs, ours = extractors(levels)
    found, expected = (extractor(pyramid(levels), torch.empty(0, 5)) for extractor in (ours, theirs))
    assert found.shape == expected.shape == (0, 8, 5, 5)


def test_rois_that_are_not_numbers__give_zeros_as_in_mmdet():
    theirs, ours = extractors()
    rois = some_rois(6)
    rois[[1, 4]] = float('nan')
    compare(theirs, ours, pyramid(), rois)


def test_bfloat16_features__do_not_round_the_rois():
    _, ours = extractors()
    features, rois = [x.detach() for x in pyramid(dtype=torch.bfloat16)], some_rois()
    expected = ours([x.float() for x in features], rois)
    torch.testing.assert_close(ours(features, rois), expected.bfloat16(), rtol=0, atol=0)


def test_hook_on_a_layer__runs():
    theirs, ours = extractors()
    shapes = []
    ours.roi_layers[1].register_forward_hook(lambda layer, args, out: shapes.append(out.shape))
    compare(theirs, ours, pyramid(form=torch.channels_last), some_rois())
    assert len(shapes) == 1


def test_layers_that_differ__are_run_each_by_itself():
    theirs, ours = extractors()
    for extractor in (theirs, ours):
        extractor.roi_layers[2].sampling_ratio = 3
    compare(theirs, ours, pyramid(), some_rois())


def test_other_roi_layers__are_mmcvs():
    cfg = dict(type='RoIPool', output_size=5)
    extractor = FastRoIExtractor(roi_layer=cfg, out_channels=8, featmap_strides=STRIDES)
    assert {type(layer) for layer in extractor.roi_layers} == {ops.RoIPool}
    assert cfg == dict(type='RoIPool', output_size=5)


@pytest.mark.parametrize('kind', ['RoIAlign', ops.RoIAlign])
def test_roi_align__is_ours_by_name_and_by_class(kind):
    cfg = dict(type=kind, output_size=5)
    extractor = FastRoIExtractor(roi_layer=cfg, out_channels=8, featmap_strides=STRIDES)
    assert {type(layer) for layer in extractor.roi_layers} == {RoIAlign}
    assert [layer.spatial_scale for layer in extractor.roi_layers] == [1 / s for s in STRIDES]


def test_traced_features__are_left_to_mmcv():
    _, ours = extractors()
    features, rois = tuple(x.detach() for x in pyramid()), some_rois()
    traced = torch.jit.trace(lambda *xs: ours(xs, rois), features, check_trace=False)
    assert 'RoIAlignFunction' in str(traced.graph)


@pytest.fixture(scope='module')
def detectors():
    """A small Mask R-CNN with mmdet's extractors and with ours, of the same weights."""
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
    """Losses and gradients, or detections."""
    inputs = demo_mm_inputs(2, [[3, 96, 128], [3, 128, 96]], num_classes=3, with_mask=True)
    data = model.data_preprocessor(inputs, training=mode == 'loss')
    torch.manual_seed(0)  # of the samplers
    if mode == 'predict':
        with torch.no_grad():
            return [sample.pred_instances for sample in model.eval()(**data, mode='predict')]
    loss, terms = model.train().parse_losses(model(**data, mode='loss'))
    names, weights = zip(*((n, p) for n, p in model.named_parameters() if p.requires_grad))
    return terms, dict(zip(names, torch.autograd.grad(loss, weights)))


def test_detector__has_the_same_losses(detectors):
    (expected, _), (found, _) = (run(model, 'loss') for model in detectors)
    assert 'loss_mask' in expected
    torch.testing.assert_close(dict(found), dict(expected), rtol=1e-5, atol=1e-5)


def test_detector__has_the_same_gradients(detectors):
    (_, expected), (_, found) = (run(model, 'loss') for model in detectors)
    for name, grad in expected.items():  # a ReLU's input next to zero changes single elements
        assert (found[name] - grad).norm() <= 1e-3 * grad.norm() + 1e-7, name


def test_detector__finds_the_same_objects(detectors):
    for found, expected in zip(*(run(model, 'predict') for model in reversed(detectors))):
        assert len(expected) > 0
        assert found.labels.tolist() == expected.labels.tolist()
        torch.testing.assert_close(found.scores, expected.scores, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(found.bboxes, expected.bboxes, rtol=1e-4, atol=1e-3)
        assert (found.masks != expected.masks).float().mean() < 1e-4


def test_detector__computes_with_the_cpu_form(detectors, monkeypatch):
    monkeypatch.setattr(ops.RoIAlign, 'forward', None)  # nothing calls mmcv's
    assert is_supported(torch.zeros(1, 1, 1, 1))
    assert len(run(detectors[1], 'predict')) == 2
