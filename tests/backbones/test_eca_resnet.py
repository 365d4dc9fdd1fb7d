import copy

import pytest
import torch
from backbone_pairs import randomized
from mmdet.models.backbones import ResNet
from mmengine.registry import MODELS
from reference import LAYERS, SIZES, features, official_state_dict
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mmdet import ECALayer, ECAResNet

PARAMETERS = {18: 11689556, 34: 21797744, 50: 25557112, 101: 44549317, 152: 60193042}


def largest_error(ours, theirs):
    """Return the largest absolute difference relative to the largest absolute value."""
    return ((ours - theirs).abs().max() / theirs.abs().max()).item()


@pytest.mark.parametrize('depth', sorted(PARAMETERS))
def test_parameters__equal_the_published_counts(depth):
    with torch.device('meta'):
        backbone = ECAResNet(depth)
    classifier = backbone.feat_dim * 1000 + 1000
    assert sum(p.numel() for p in backbone.parameters()) + classifier == PARAMETERS[depth]


def test_eca_layers__of_resnet50_have_80_parameters():
    with torch.device('meta'):
        backbone = ECAResNet(50)
    assert sum(p.numel() for m in backbone.modules() if isinstance(m, ECALayer) for p in m.parameters()) == 80


@pytest.mark.parametrize('depth', sorted(LAYERS))
def test_default_kernel_sizes__match_the_released_weights(depth):
    with torch.device('meta'):
        assert ECAResNet(depth).eca_kernel_sizes == SIZES[depth]


@pytest.mark.parametrize('depth', [18, 50])
def test_features_and_gradients__equal_the_reference_in_float64(depth):
    weights = official_state_dict(depth, dtype=torch.float64, prefix='')
    for key, value in weights.items():
        value.requires_grad_(value.is_floating_point() and 'running' not in key)
    backbone = ECAResNet(depth).double().eval()
    backbone.load_state_dict({k: v for k, v in weights.items() if not k.startswith('fc.')}, strict=True)
    x = torch.randn(2, 3, 48, 40, dtype=torch.float64, requires_grad=True)
    y = x.detach().clone().requires_grad_()
    ours, theirs = backbone(x), features(weights, y, depth)
    for a, b in zip(ours, theirs):
        assert largest_error(a, b) < 1e-10
    sum(a.square().mean() for a in ours).backward()
    sum(b.square().mean() for b in theirs).backward()
    assert largest_error(x.grad, y.grad) < 1e-10
    for name, parameter in backbone.named_parameters():
        assert largest_error(parameter.grad, weights[name].grad) < 1e-10, name


@pytest.mark.parametrize('depth', [18, 50])
def test_constant_gate__gives_the_features_of_mmdet_resnet(depth, monkeypatch):
    """If the gate is always one, the result must equal mmdet's with all of its options."""
    options = dict(
        deep_stem=True, avg_down=True, strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), out_indices=(1, 3)
    )
    options['style'] = 'caffe' if depth == 50 else 'pytorch'
    ours, stock = ECAResNet(depth, fast=False, **options).eval(), ResNet(depth, **options)
    stock.eval()  # returns None in mmdet
    randomized(ours)
    stock.load_state_dict({k: v for k, v in ours.state_dict().items() if '.eca.' not in k}, strict=True)
    monkeypatch.setattr(ECALayer, 'forward', lambda self, x: x)
    x = torch.randn(1, 3, 64, 64)
    for a, b in zip(ours(x), stock(x)):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


@pytest.mark.parametrize('depth', [18, 50])
def test_zero_init_residual__zeroes_the_last_norm_of_each_block(depth):
    def last_norms(**options):
        backbone = ECAResNet(depth, num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), **options)
        backbone.init_weights()
        name = 'norm3' if depth == 50 else 'norm2'
        return [getattr(block, name).weight.abs().max().item() for block in backbone.layer1]

    assert set(last_norms()) == {0}
    assert set(last_norms(zero_init_residual=False)) == {1}
    assert set(last_norms(init_cfg=dict(type='Constant', layer='Conv2d', val=0.1))) == {1}


@pytest.mark.parametrize('depth', [18, 50])
def test_frozen_stages_and_norm_eval__apply_in_training_mode(depth):
    backbone = ECAResNet(depth, frozen_stages=2, norm_eval=True).train()
    for name, parameter in backbone.named_parameters():
        frozen = name.startswith(('conv1', 'bn1', 'layer1', 'layer2'))
        assert parameter.requires_grad != frozen, name
    assert not any(m.training for m in backbone.modules() if isinstance(m, _BatchNorm))
    before = backbone.layer4[0].bn1.running_mean.clone()
    sum(out.sum() for out in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert torch.equal(before, backbone.layer4[0].bn1.running_mean)
    assert backbone.layer3[0].eca.conv.weight.grad.abs().sum() > 0
    assert backbone.layer1[0].eca.conv.weight.grad is None


@pytest.mark.parametrize('depth', [18, 50])
def test_gradients__reach_every_parameter(depth):
    backbone = randomized(ECAResNet(depth, norm_eval=False)).train()
    sum(out.square().mean() for out in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


@pytest.mark.parametrize('depth', [18, 50])
def test_with_cp__gives_equal_outputs_and_gradients(depth):
    plain = randomized(ECAResNet(depth)).train()
    checkpointed = copy.deepcopy(plain)
    for module in checkpointed.modules():
        if hasattr(module, 'with_cp'):
            module.with_cp = True
    x = torch.randn(1, 3, 64, 64)
    for backbone in (plain, checkpointed):
        backbone(x)[-1].square().mean().backward()
    for (name, a), (_, b) in zip(plain.named_parameters(), checkpointed.named_parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-7, msg=name)


def test_dcn__is_used_in_the_requested_stages():
    dcn = dict(type='DCNv2', deform_groups=1, fallback_on_stride=False)
    backbone = ECAResNet(50, dcn=dcn, stage_with_dcn=(False, True, True, True))
    assert type(backbone.layer2[0].conv2).__name__ == 'ModulatedDeformConv2dPack'
    assert backbone(torch.randn(1, 3, 64, 64))[-1].shape == (1, 2048, 2, 2)


@pytest.mark.parametrize('norm', [dict(type='GN', num_groups=8), dict(type='SyncBN')])
def test_norm_cfg__selects_the_norm(norm):
    backbone = ECAResNet(18, norm_cfg=dict(**norm, requires_grad=True)).eval()
    kind = {'GN': 'GroupNorm', 'SyncBN': 'SyncBatchNorm'}[norm['type']]
    assert type(backbone.layer1[0].norm2).__name__ == kind
    assert backbone(torch.randn(1, 3, 32, 32))[0].shape == (1, 64, 8, 8)


def test_plugins__run_after_eca_at_the_same_position():
    plugin = dict(
        cfg=dict(type='ContextBlock', ratio=0.25), position='after_conv3', stages=(True, False, False, False)
    )
    backbone = ECAResNet(50, plugins=[plugin])
    assert backbone.layer1[0].plugin_names[-1] == ['eca', 'context_block']
    assert backbone.layer2[0].plugin_names[-1] == ['eca']


def test_plugins__are_rejected_where_mmdet_rejects_them():
    plugin = dict(cfg=dict(type='ContextBlock', ratio=0.25), position='after_conv3')
    with pytest.raises(ValueError, match='depths 18 and 34 take no plugins'):
        ECAResNet(18, plugins=[plugin])


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        (dict(depth=42), KeyError, 'has depths'),
        (dict(depth=50, eca_kernel_sizes='3456'), ValueError, 'positive odd integer'),
        (dict(depth=50, eca_kernel_sizes=(3, 5)), ValueError, '2 entries .* 4 stages'),
    ],
)
def test_wrong_arguments__raise_an_error_that_names_them(options, error, message):
    with pytest.raises(error, match=message):
        ECAResNet(**options)


def test_traced_export__gives_equal_features():
    backbone = ECAResNet(18).eval()
    x = torch.randn(1, 3, 64, 64)
    traced = torch.jit.trace(backbone, x)
    torch.testing.assert_close(traced(x), backbone(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    'config',
    [
        dict(type='mmdet.ResNeXt', depth=50, groups=32, base_width=4),
        dict(type='mmdet.Res2Net', depth=50, scales=4, base_width=26),
        dict(type='mmdet.RegNet', arch='regnetx_400mf'),
    ],
)
def test_eca_layer__works_as_a_plugin_of_other_mmdet_backbones(config):
    plugin = dict(cfg=dict(type='ECALayer', kernel_size=3), position='after_conv3')
    backbone = MODELS.build(dict(**config, plugins=[plugin]))
    assert sum(isinstance(m, ECALayer) for m in backbone.modules()) == sum(backbone.stage_blocks)
    backbone.eval()  # returns None in mmdet
    backbone(torch.randn(1, 3, 64, 64))


@pytest.mark.parametrize('library', ['mmdet', 'mmseg'])
def test_backbone__is_registered_in_every_library(library):
    registry = pytest.importorskip(f'{library}.registry').MODELS
    backbone = registry.build(dict(type='ECAResNet', depth=18, out_indices=(3,)))
    assert isinstance(backbone, ECAResNet)


def test_load__of_other_kernel_sizes_raises_an_error_that_names_both():
    weights = {f'backbone.{k}': v for k, v in ECAResNet(18, eca_kernel_sizes='3355').state_dict().items()}
    model = torch.nn.ModuleDict(dict(backbone=ECAResNet(18)))
    with pytest.raises(ValueError, match=r'\(3, 3, 5, 5\), this backbone was built with \(3, 5, 7, 7\)'):
        model.load_state_dict(weights, strict=False)


def test_load__without_any_matching_name_raises_an_error():
    with pytest.raises(ValueError, match="none of the .* first names are \\['backbone.bn1.bias'"):
        weights = {f'backbone.{k}': v for k, v in ECAResNet(18).state_dict().items()}
        ECAResNet(18).load_state_dict(weights, strict=False)
