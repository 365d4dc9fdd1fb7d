"""ECAResNet with each attention layer that the paper compares with ECA."""

import copy
import logging

import pytest
import torch
from mmengine.logging import MMLogger
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mmdet import ECAResNet
from eca_mmdet.layers import ATTENTIONS

NAMES = sorted(set(ATTENTIONS) - {'none', 'eca'})
WITH_WEIGHTS = sorted(set(NAMES) - {'se_var1'})
CHANNELS = {18: [64, 128, 256, 512], 50: [256, 512, 1024, 2048]}
BLOCKS = {18: [2, 2, 2, 2], 50: [3, 4, 6, 3]}
SIZES = {18: [3, 5, 7, 7], 50: [3, 5, 5, 7]}
RESNET = {18: 11689512, 50: 25557032}  # parameter counts of torchvision, including the classifier


def small(depth=50, **options):
    """Build a backbone with two stages of one block each."""
    options = dict(dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1)), **options)
    backbone = ECAResNet(depth, stage_blocks=(1, 1), **options)
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            module.running_mean.uniform_(-0.5, 0.5)
    return backbone


def abbreviation(attention):
    """Return the name of the attention layer in a block and in the state_dict."""
    return 'se_gc' if attention.startswith('se_gc') else attention


def total(depth, attention):
    with torch.device('meta'):
        backbone = ECAResNet(depth, attention=attention)
    return sum(p.numel() for p in backbone.parameters()) + backbone.feat_dim * 1000 + 1000


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize(
    ('attention', 'count'),
    [
        ('none', lambda c, k: 0),
        ('se', lambda c, k: 2 * c * c // 16),
        ('se_var1', lambda c, k: 0),
        ('se_var2', lambda c, k: c),
        ('se_var3', lambda c, k: c * c),
        ('se_gc2', lambda c, k: c * c // 2),
        ('se_gc4', lambda c, k: c * c // 4),
        ('se_gc8', lambda c, k: c * c // 8),
        ('se_gc16', lambda c, k: c * c // 16),
        ('eca_ns', lambda c, k: c * k),
        ('eca', lambda c, k: k),
        ('cbam', lambda c, k: 2 * c * c // 16 + 100),
        ('triplet', lambda c, k: 300),
    ],
)
def test_parameters__follow_the_formula_of_the_paper_in_every_block(depth, attention, count):
    stages = zip(BLOCKS[depth], CHANNELS[depth], SIZES[depth])
    assert total(depth, attention) == RESNET[depth] + sum(n * count(c, k) for n, c, k in stages)


@pytest.mark.parametrize(
    ('attention', 'printed'), [('none', '24.37'), ('se', '26.77'), ('cbam', '26.77'), ('eca', '24.37')]
)
def test_parameters__equal_the_published_counts_of_resnet50(attention, printed):
    assert f'{total(50, attention) / 2**20:.2f}' == printed


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('attention', NAMES)
def test_attention__is_applied_before_the_addition(depth, attention):
    """A block with attention must compute relu(identity + attention(residual))."""
    backbone = small(depth, attention=attention).eval()
    block = backbone.layer1[0]
    layer = getattr(block, abbreviation(attention))
    x = torch.randn(1, 64, 16, 16)
    identity = x if block.downsample is None else block.downsample(x)
    out = block.norm1(block.conv1(x)).relu()
    out = block.norm2(block.conv2(out))
    if depth == 50:
        out = block.norm3(block.conv3(out.relu()))
    torch.testing.assert_close(block(x), (layer(out) + identity).relu(), rtol=0, atol=0)


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('attention', WITH_WEIGHTS)
def test_training_step__gives_all_parameters_gradients_except_frozen_ones(depth, attention):
    backbone = small(depth, attention=attention, frozen_stages=1, norm_eval=True).train()
    assert not any(m.training for m in backbone.modules() if isinstance(m, _BatchNorm))
    before = {k: v.clone() for k, v in backbone.named_buffers()}
    backbone(torch.randn(2, 3, 64, 64))[-1].square().mean().backward()
    for name, parameter in backbone.named_parameters():
        frozen = name.startswith(('conv1', 'bn1', 'layer1'))
        assert parameter.requires_grad != frozen, name
        assert (parameter.grad is None) if frozen else (parameter.grad.abs().sum() > 0), name
    assert all(torch.equal(before[k], v) for k, v in backbone.named_buffers())


@pytest.mark.parametrize('attention', ['cbam', 'triplet'])
def test_frozen_stages__include_norms_inside_the_attention(attention):
    backbone = small(attention=attention, frozen_stages=1, norm_eval=False).train()
    norms = [(n, m) for n, m in backbone.named_modules() if attention in n and isinstance(m, _BatchNorm)]
    assert {(n.split('.')[0], m.training) for n, m in norms} == {('layer1', False), ('layer2', True)}


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('attention', NAMES)
def test_with_cp__gives_equal_outputs_and_gradients(depth, attention):
    plain = small(depth, attention=attention).train()
    checkpointed = copy.deepcopy(plain)
    for module in checkpointed.modules():
        if hasattr(module, 'with_cp'):
            module.with_cp = True
    x = torch.randn(1, 3, 32, 32)
    for backbone in (plain, checkpointed):
        backbone(x)[-1].square().mean().backward()
    for (name, a), (_, b) in zip(plain.named_parameters(), checkpointed.named_parameters()):
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize('attention', NAMES)
def test_traced_export__gives_equal_features_at_another_size(attention):
    backbone = small(attention=attention).eval()
    traced = torch.jit.trace(backbone, torch.randn(1, 3, 64, 64))
    x = torch.randn(2, 3, 96, 32)
    torch.testing.assert_close(traced(x), backbone(x), rtol=1e-5, atol=1e-5)


def test_zero_init_residual__works_the_same_with_attention():
    backbone = small(attention='cbam')
    backbone.init_weights()
    assert backbone.layer1[0].norm3.weight.abs().max() == 0
    assert backbone.layer1[0].cbam.spatial.bn.weight == 1


@pytest.mark.parametrize(
    ('file', 'own'),
    [
        ('eca', 'se'),
        ('eca', 'none'),
        ('eca', 'se_var1'),
        ('se', 'eca'),
        ('eca', 'eca_ns'),
        ('se_var2', 'se_var3'),
        ('cbam', 'triplet'),
    ],
)
def test_load__of_another_attention_raises_an_error_that_names_both(file, own):
    weights = small(attention=file).state_dict()
    built = f"'{own}'" if own not in ('none', 'se_var1') else 'no attention that has weights'
    with pytest.raises(ValueError, match=f"has the attention '{file}', .* built with {built}"):
        small(attention=own).load_state_dict(weights, strict=False)


@pytest.mark.parametrize(
    ('file', 'own', 'message'),
    [
        ('se_gc2', 'se_gc4', r"'se_gc' in layer1.0 .*\(256, 128, 1, 1\).* in this backbone"),
        (dict(type='SELayer', bias=True), 'se', "'fc1.bias': .* in the checkpoint"),
        (dict(type='ECANSLayer', kernel_size=7), 'eca_ns', r'\(256, 1, 7\).* checkpoint, .*\(256, 1, 3\)'),
        (dict(type='ECALayer', kernel_size=7), 'eca', r'kernel sizes \(7, 7\), .* built with \(3, 5\)'),
    ],
)
def test_load__of_the_same_attention_with_other_options_raises_an_error(file, own, message):
    weights = {f'backbone.{k}': v for k, v in small(attention=file).state_dict().items()}
    model = torch.nn.ModuleDict(dict(backbone=small(attention=own)))
    with pytest.raises(ValueError, match=message):
        model.load_state_dict(weights, strict=False)


@pytest.fixture
def log():
    """Collect the messages of mmengine's logger."""
    records, handler, logger = [], logging.Handler(logging.INFO), MMLogger.get_current_instance()
    handler.emit = lambda record: records.append((record.levelname, record.getMessage()))
    logger.addHandler(handler)
    yield records
    logger.removeHandler(handler)


@pytest.mark.parametrize('attention', ['eca', *WITH_WEIGHTS])
def test_load__of_a_plain_resnet_warns_that_the_attention_is_untrained(attention, log):
    weights = small(attention='none').state_dict()
    backbone = small(attention=attention)
    result = backbone.load_state_dict(weights, strict=False)
    name = abbreviation(attention)
    assert all(f'.{name}.' in key for key in result.missing_keys)
    torch.testing.assert_close(backbone.layer2[0].conv3.weight, weights['layer2.0.conv3.weight'])
    assert log == [('INFO', f"The checkpoint is of a plain network; '{name}' starts untrained.")]


@pytest.mark.parametrize(
    ('file', 'own', 'frozen', 'warned'),
    [
        ('none', 'se', 1, True),
        ('none', 'none', 1, False),
        ('none', 'se_var1', 1, False),
        ('se', 'se', 1, False),
    ],
)
def test_load__warns_only_about_attention_that_stays_untrained(file, own, frozen, warned, log):
    weights = small(attention=file).state_dict()
    small(attention=own, frozen_stages=frozen).load_state_dict(weights, strict=False)
    assert [level for level, _ in log] == ['WARNING'] * warned
    assert all('frozen_stages=1 freezes; 0 trains all' in message for _, message in log)
