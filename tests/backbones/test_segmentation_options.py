"""With the options of MMSegmentation, the backbones compute the features of its backbones."""

import pytest
import torch
from backbone_pairs import randomized
from mmengine.registry import init_default_scope

from eca_mmdet import ECAMobileNetV2, ECAResNet
from eca_mmdet.layers.residual_blocks import ResidualBlock

mmseg_backbones = pytest.importorskip('mmseg.models.backbones')

OPTIONS = {
    'plain': dict(),
    'stride 8': dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4), contract_dilation=True),
    'stride 16': dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), contract_dilation=True),
    'not contracted': dict(strides=(1, 2, 1, 1), dilations=(1, 1, 2, 4)),
    'multi grid': dict(strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), multi_grid=(1, 2, 4)),
    'frozen': dict(frozen_stages=1, style='caffe'),
}


def assert_equal_features(ours, theirs, rename=lambda name: name):
    randomized(ours).double().eval()
    theirs.double().eval()  # returns None in mmseg
    state = {
        rename(name): value for name, value in ours.state_dict().items() if not name.startswith('conv2.')
    }
    theirs.load_state_dict(state, strict=True)
    x = torch.randn(1, 3, 65, 49, dtype=torch.float64)
    outs, expected = ours(x), theirs(x)
    assert len(outs) == len(expected)
    for a, b in zip(outs, expected):
        assert (a - b).abs().max() <= 1e-10 * b.abs().max()


@pytest.mark.parametrize('deep_stem', [False, True])
@pytest.mark.parametrize('fast', [False, True])
@pytest.mark.parametrize('name', OPTIONS)
def test_resnet_without_attention__equals_that_of_mmseg(name, fast, deep_stem):
    init_default_scope('mmseg')
    options = {**OPTIONS[name], 'depth': 50, 'norm_eval': False}
    cls = mmseg_backbones.ResNetV1c if deep_stem else mmseg_backbones.ResNet
    ours = ECAResNet(**options, attention='none', deep_stem=deep_stem, fast=fast)
    assert_equal_features(ours, cls(**options))


def test_mobilenet_without_attention__equals_that_of_mmseg():
    options = dict(
        strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, 2, 2, 4, 4),
        out_indices=(1, 2, 4, 6),
        widen_factor=0.5,
    )
    parts = {'expand_conv': 'conv.0', 'depthwise_conv': 'conv.1', 'linear_conv': 'conv.2'}

    def rename(name):
        stage, *_ = name.split('.')
        for old, new in parts.items():
            if stage == 'layer1':  # its block has no expansion
                new = f'conv.{int(new[-1]) - 1}'
            name = name.replace(old, new)
        return name

    theirs = mmseg_backbones.MobileNetV2(**options)
    assert_equal_features(ECAMobileNetV2(attention='none', **options), theirs, rename)


@pytest.mark.parametrize('depth', [18, 50])
def test_contract_dilation__halves_the_dilation_of_the_first_block(depth):
    with torch.device('meta'):
        backbone = ECAResNet(depth, **OPTIONS['stride 8'])
    dilations = [[block.dilation for block in stage] for stage in (backbone.layer3, backbone.layer4)]
    assert [stage[:2] for stage in dilations] == [[1, 2], [2, 4]]


@pytest.mark.parametrize('depth', [18, 50])
def test_multi_grid__needs_a_dilation_for_each_block(depth):
    with pytest.raises(ValueError, match=r'multi_grid=\(1, 2, 4, 8\) must have one dilation .* blocks'):
        ECAResNet(depth, multi_grid=(1, 2, 4, 8))


def test_parameters_of_features_that_are_not_returned__are_not_trained():
    """DistributedDataParallel stops at parameters without gradients."""
    backbone = ECAMobileNetV2(out_indices=(1, 2, 4, 6)).train()
    sum(out.sum() for out in backbone(torch.randn(2, 3, 64, 64))).backward()
    assert [n for n, p in backbone.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('options', [{}, dict(deep_stem=True, avg_down=True), dict(zero_init_residual=False)])
def test_initial_weights__equal_those_of_mmdet(depth, options):
    from mmdet.models.backbones import ResNet

    states = []
    for build in (lambda: ECAResNet(depth, attention='none', **options), lambda: ResNet(depth, **options)):
        torch.manual_seed(0)
        backbone = build()
        backbone.init_weights()
        states.append(backbone.state_dict())
    assert list(states[0]) == list(states[1])
    for name, value in states[0].items():
        torch.testing.assert_close(value, states[1][name], rtol=0, atol=0, msg=name)


def test_plugins__with_unknown_position_or_equal_names_are_rejected():
    plugin = dict(cfg=dict(type='ContextBlock', ratio=0.25), position='after_conv2')
    with pytest.raises(ValueError, match='position of a plugin must be one of .*after_conv3'):
        ECAResNet(50, plugins=[dict(plugin, position='after_conv4')])
    with pytest.raises(ValueError, match='two plugins have the name context_block'):
        ECAResNet(50, plugins=[plugin, plugin])
    assert issubclass(ECAResNet(18).block, ResidualBlock)
