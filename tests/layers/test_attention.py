"""The attention layers against the equations of their papers."""

import pytest
import torch
from attentions import REFERENCES, se
from mmcv.cnn import build_plugin_layer

from eca_mmdet.layers import ATTENTIONS, SELayer, attention_config


def build(attention, channels=32):
    """Build a layer in evaluation mode and float64, with random parameters and statistics."""
    name, layer = build_plugin_layer(attention_config(attention), in_channels=channels)
    for tensor in [*layer.parameters(), *layer.buffers()]:
        if tensor.is_floating_point():
            torch.nn.init.uniform_(tensor, 0.2, 1.5)
    return name, layer.double().eval()


@pytest.mark.parametrize('attention', sorted(REFERENCES))
@pytest.mark.parametrize('shape', [(2, 32, 5, 9), (1, 32, 1, 1)])
def test_values_and_gradients__equal_the_equations(attention, shape):
    _, layer = build(attention)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)
    grad = torch.randn(shape, dtype=torch.float64)
    weights = {**dict(layer.named_buffers()), **dict(layer.named_parameters())}
    inputs = [x, *layer.parameters()]
    ours, theirs = layer(x), REFERENCES[attention](weights, x)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)
    grads, expected_grads = (torch.autograd.grad(out, inputs, grad) for out in (ours, theirs))
    torch.testing.assert_close(grads, expected_grads, rtol=0, atol=1e-10)


@pytest.mark.parametrize('attention', ['se', 'cbam'])
def test_bias__is_added_in_both_maps(attention):
    config = dict(attention_config(attention), bias=True)
    _, layer = build(config)
    x = torch.randn(2, 32, 3, 4, dtype=torch.float64)
    theirs = REFERENCES[attention]({**dict(layer.named_buffers()), **dict(layer.named_parameters())}, x)
    torch.testing.assert_close(layer(x), theirs, rtol=0, atol=1e-10)


def test_parameter_names_of_se__are_those_of_timm():
    weights = {
        'fc1.weight': torch.randn(4, 64, 1, 1),
        'fc1.bias': torch.randn(4),
        'fc2.weight': torch.randn(64, 4, 1, 1),
        'fc2.bias': torch.randn(64),
    }
    layer = SELayer(64, bias=True)
    layer.load_state_dict(weights, strict=True)
    x = torch.randn(1, 64, 3, 3)
    torch.testing.assert_close(layer(x), se(weights, x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ('attention', 'count'),
    [
        ('se', 2 * 256**2 // 16),
        ('se_var1', 0),
        ('se_var2', 256),
        ('se_var3', 256**2),
        *[(f'se_gc{groups}', 256**2 // groups) for groups in (2, 4, 8, 16)],
        ('eca_ns', 5 * 256),
        ('eca', 5),
        ('cbam', 2 * 256**2 // 16 + 2 * 49 + 2),
        ('triplet', 3 * (2 * 49 + 2)),
    ],
)
def test_parameter_count__is_that_of_the_paper(attention, count):
    _, layer = build(attention, channels=256)
    assert sum(p.numel() for p in layer.parameters()) == count


@pytest.mark.parametrize('attention', sorted(set(ATTENTIONS) - {'none'}))
def test_plugin_name__is_the_name_of_the_attention(attention):
    assert build(attention)[0] == attention.rstrip('0123456789' if 'gc' in attention else '')


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(type='SELayer', ratio=64), 'ratio must be from 1 to the number of channels 32, got 64'),
        (dict(type='SEGCLayer', groups=5), 'groups must divide the number of channels 32, got 5'),
        (dict(type='SEGCLayer', groups=0), 'groups must divide'),
        (dict(type='ECANSLayer', kernel_size=4), 'positive odd integer'),
        ('se_gc3', "'se_gc3' is not supported; allowed are 'none', 'se', .*'triplet'"),
    ],
)
def test_wrong_arguments__are_rejected(config, message):
    with pytest.raises(ValueError, match=message):
        build(config)
