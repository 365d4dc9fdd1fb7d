import copy

import pytest
import torch
from mmdet.models.backbones import MobileNetV2
from mmengine.registry import MODELS
from reference_mobilenet import BLOCKS, features, official_state_dict
from test_eca_resnet import largest_error, randomized
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mmdet import ECALayer, ECAMobileNetV2

ALL = tuple(range(8))


def in_network_order(weights, backbone):
    """Rename the official tensors, which have the same order as ours."""
    values = [v for k, v in weights.items() if not k.startswith('classifier')]
    names = list(backbone.state_dict())
    assert len(values) == len(names)
    return dict(zip(names, values))


def test_parameters__with_classifier_equal_the_published_count():
    with torch.device('meta'):
        backbone = ECAMobileNetV2()
    total = sum(p.numel() for p in backbone.parameters()) + 1280 * 1000 + 1000
    assert total == 3504903
    assert round(total / 2**20, 2) == 3.34  # the official table's unit


def test_eca_layers__have_31_parameters():
    """Ten blocks have one coefficient and seven blocks have three."""
    with torch.device('meta'):
        backbone, plain = ECAMobileNetV2(), MobileNetV2()
    eca = sum(p.numel() for m in backbone.modules() if isinstance(m, ECALayer) for p in m.parameters())
    assert eca == 10 * 1 + 7 * 3 == 31
    assert sum(p.numel() for p in backbone.parameters()) - sum(p.numel() for p in plain.parameters()) == eca


def test_features_and_gradients__equal_the_reference_in_float64():
    weights = official_state_dict(dtype=torch.float64, prefix='')
    for key, value in weights.items():
        value.requires_grad_(value.is_floating_point() and 'running' not in key)
    backbone = ECAMobileNetV2(out_indices=ALL).double().eval()
    renamed = in_network_order(weights, backbone)
    backbone.load_state_dict(renamed, strict=True)
    x = torch.randn(2, 3, 48, 40, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    ours, theirs = backbone(x), features(weights, y)
    assert len(ours) == len(theirs) == 8
    for a, b in zip(ours, theirs):
        assert largest_error(a, b) < 1e-10
    sum(a.square().mean() for a in ours).backward()
    sum(b.square().mean() for b in theirs).backward()
    assert largest_error(x.grad, y.grad) < 1e-10
    for name, parameter in backbone.named_parameters():
        assert largest_error(parameter.grad, renamed[name].grad) < 1e-10, name


@pytest.mark.parametrize('neutral', ['gate of one', 'none'])
def test_constant_gate__gives_the_features_of_mmdet_mobilenet(neutral, monkeypatch):
    """If the gate is always one, the result must equal mmdet's with all of its options."""
    options = dict(
        widen_factor=0.5,
        out_indices=(0, 3, 7),
        norm_cfg=dict(type='BN', eps=0.001, momentum=0.03),
        act_cfg=dict(type='LeakyReLU', negative_slope=0.1),
    )
    ours = randomized(ECAMobileNetV2(attention='none' if neutral == 'none' else 'eca', **options))
    stock = MobileNetV2(**options)
    stock.load_state_dict({k: v for k, v in ours.state_dict().items() if '.eca.' not in k}, strict=True)
    monkeypatch.setattr(ECALayer, 'forward', lambda self, x: x)
    x = torch.randn(2, 3, 64, 64)
    for mode in (True, False):
        ours.train(mode)
        stock.train(mode)  # returns None in mmdet
        for a, b in zip(ours(x), stock(x)):
            torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_out_channels__match_the_features():
    for options in (dict(), dict(widen_factor=1.4, out_indices=(2, 6)), dict(out_indices=ALL)):
        backbone = ECAMobileNetV2(**options).eval()
        features = backbone(torch.randn(1, 3, 32, 32))
        assert backbone.out_channels == tuple(f.shape[1] for f in features)


def test_frozen_stages__freeze_the_same_parameters_as_mmdet():
    backbone, stock = ECAMobileNetV2(frozen_stages=3), MobileNetV2(frozen_stages=3)
    backbone.train()
    stock.train()
    plain = dict(stock.named_parameters())
    for name, parameter in backbone.named_parameters():
        frozen = name.startswith(('conv1.', 'layer1.', 'layer2.', 'layer3.'))
        assert parameter.requires_grad != frozen, name
        assert '.eca.' in name or parameter.requires_grad == plain[name].requires_grad, name
    modes = {name: module.training for name, module in stock.named_modules()}
    assert all(m.training == modes[n] for n, m in backbone.named_modules() if n in modes)
    before = copy.deepcopy(backbone.layer3.state_dict())
    sum(out.sum() for out in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert all(torch.equal(before[k], v) for k, v in backbone.layer3.state_dict().items())
    assert backbone.layer4[0].eca.conv.weight.grad.abs().sum() > 0
    assert backbone.layer3[0].eca.conv.weight.grad is None


def test_frozen_stages__are_frozen_before_train_is_called():
    """DDP checks which parameters require grad when it is constructed, before train() is called."""
    backbone = ECAMobileNetV2(frozen_stages=1)
    at_start = {name: p.requires_grad for name, p in backbone.named_parameters()}
    assert at_start == {name: p.requires_grad for name, p in backbone.train().named_parameters()}
    assert not all(at_start.values())


def test_norm_eval__keeps_norms_in_eval_mode_during_training():
    backbone = ECAMobileNetV2(norm_eval=True).train()
    assert not any(m.training for m in backbone.modules() if isinstance(m, _BatchNorm))
    before = backbone.conv2.bn.running_mean.clone()
    backbone(torch.randn(2, 3, 64, 64))
    assert torch.equal(before, backbone.conv2.bn.running_mean)


def test_gradients__reach_every_parameter():
    backbone = randomized(ECAMobileNetV2()).train()
    sum(out.square().mean() for out in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_with_cp__gives_equal_outputs_and_gradients(monkeypatch):
    plain = randomized(ECAMobileNetV2(norm_eval=True)).train()
    checkpointed = ECAMobileNetV2(norm_eval=True, with_cp=True).train()
    checkpointed.load_state_dict(plain.state_dict())
    calls = []
    original = torch.utils.checkpoint.checkpoint
    monkeypatch.setattr(
        'torch.utils.checkpoint.checkpoint', lambda *args, **kw: calls.append(1) or original(*args, **kw)
    )
    x = torch.randn(1, 3, 64, 64)
    outputs = [backbone(x) for backbone in (plain, checkpointed)]
    assert len(calls) == len(BLOCKS)
    for a, b in zip(*outputs):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
    for out in outputs:
        out[-1].square().mean().backward()
    for (name, a), (_, b) in zip(plain.named_parameters(), checkpointed.named_parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-7, msg=name)


def test_traced_export__gives_equal_features():
    backbone = randomized(ECAMobileNetV2()).eval()
    x = torch.randn(1, 3, 64, 64)
    traced = torch.jit.trace(backbone, x)
    other = torch.randn(1, 3, 64, 64)
    torch.testing.assert_close(traced(other), backbone(other), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(eca_kernel_sizes='24'), ValueError, 'positive odd integer'),
        (dict(eca_kernel_sizes=(1, 3, 5)), ValueError, r'3 entries .* 7 stages.* such as \(1, 3\)'),
        (dict(attention='senet'), ValueError, 'allowed are'),
        (dict(out_indices=(8,)), ValueError, 'out_indices must be a subset'),
        (dict(frozen_stages=8), ValueError, 'frozen_stages must be in'),
        (dict(depth=50), TypeError, 'depth'),
    ],
)
def test_wrong_arguments__raise_an_error_that_names_them(options, error, message):
    with pytest.raises(error, match=message):
        ECAMobileNetV2(**options)


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_backbone__is_registered_in_every_library(library):
    registry = pytest.importorskip(f'{library}.registry').MODELS
    assert isinstance(registry.build(dict(type='ECAMobileNetV2')), ECAMobileNetV2)


def test_init_cfg__loads_a_checkpoint(tmp_path):
    weights = ECAMobileNetV2(eca_kernel_sizes=5).state_dict()
    torch.save(dict(state_dict=weights), tmp_path / 'w.pth')
    config = dict(type='ECAMobileNetV2', init_cfg=dict(type='Pretrained', checkpoint=str(tmp_path / 'w.pth')))
    backbone = MODELS.build(dict(**config, eca_kernel_sizes=5))
    backbone.init_weights()
    for name, value in backbone.state_dict().items():
        torch.testing.assert_close(value, weights[name], rtol=0, atol=0, msg=name)
    with pytest.raises(ValueError, match='set eca_kernel_sizes'):
        MODELS.build(config).init_weights()


def test_load__of_other_kernel_sizes_raises_an_error_that_names_both():
    """The official code before July 2020 used kernel size 1 for up to 96 channels."""
    weights = ECAMobileNetV2(eca_kernel_sizes='1111133').state_dict()
    model = torch.nn.ModuleDict(dict(backbone=ECAMobileNetV2()))
    with pytest.raises(ValueError, match=r'\(1, 1, 1, 1, 1, 3, 3\), .* with \(1, 1, 1, 1, 3, 3, 3\)'):
        model.load_state_dict({f'backbone.{k}': v for k, v in weights.items()}, strict=False)


def test_load__of_official_names_raises_an_error():
    with pytest.raises(ValueError, match='none of the .* tensors of ECAMobileNetV2 .* convert it with'):
        ECAMobileNetV2().load_state_dict(official_state_dict(), strict=False)
