import copy

import pytest
import torch
from reference import SIZES, features, official_checkpoint, official_state_dict

from eca_mmdet import ECAResNet
from eca_mmdet.checkpoints import convert


def convert_official(checkpoint):
    return convert(checkpoint, source='official')


@pytest.mark.parametrize('depth', sorted(SIZES))
def test_convert__detects_depth_and_kernel_sizes_and_keeps_every_tensor(depth):
    with torch.device('meta'):
        source = official_state_dict_on_meta(depth)
    # Meta tensors have no values, so the network has to be recognised by shapes alone.
    conversion = convert_official(dict(state_dict={k: torch.zeros(v.shape) for k, v in source.items()}))
    assert conversion.backbone == dict(type='ECAResNet', depth=depth, eca_kernel_sizes=list(SIZES[depth]))
    assert {f'module.{k}' for k in conversion.state_dict} == {k for k in source if '.fc.' not in k}


def official_state_dict_on_meta(depth):
    state_dict = ECAResNet(depth).state_dict()
    state_dict['fc.weight'] = torch.zeros(1000, 512)
    return {f'module.{k}': v for k, v in state_dict.items()}


@pytest.mark.parametrize('depth', [18, 50])
def test_converted_backbone__computes_the_features_of_the_original_network(depth):
    checkpoint = official_checkpoint(depth, dtype=torch.float64)
    conversion = convert_official(checkpoint)
    backbone = ECAResNet(depth, eca_kernel_sizes=conversion.backbone['eca_kernel_sizes']).double().eval()
    backbone.load_state_dict(conversion.state_dict, strict=True)
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    original = {k.removeprefix('module.'): v for k, v in checkpoint['state_dict'].items()}
    for ours, theirs in zip(backbone(x), features(original, x, depth)):
        # Relative to the largest value, since the features of random networks grow from block to block.
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10 * theirs.abs().max().item())


def test_convert__reports_what_it_did():
    conversion = convert(official_checkpoint(18))
    assert ('module.conv1.weight', 'conv1.weight') in conversion.renamed
    assert conversion.dropped == [
        'epoch', 'arch', 'best_prec1', 'optimizer', 'fc.weight (1000, 512)', 'fc.bias (1000,)'
    ]  # fmt: skip
    assert conversion.added == []


def test_convert__reads_other_kernel_sizes_from_the_checkpoint():
    conversion = convert_official(official_state_dict(18, sizes=(9, 1, 3, 5)))
    assert conversion.backbone['eca_kernel_sizes'] == [9, 1, 3, 5]


def test_convert__accepts_bare_state_dicts_without_prefix():
    conversion = convert_official(official_state_dict(18, prefix=''))
    assert conversion.renamed == []
    assert 'layer1.0.eca.conv.weight' in conversion.state_dict


def test_convert__adds_missing_batch_counters():
    checkpoint = official_checkpoint(18)
    for key in [key for key in checkpoint['state_dict'] if key.endswith('num_batches_tracked')]:
        del checkpoint['state_dict'][key]
    conversion = convert_official(checkpoint)
    assert len(conversion.added) == 20
    ECAResNet(18).load_state_dict(conversion.state_dict, strict=True)


def test_convert__does_not_change_its_input():
    checkpoint = official_checkpoint(18)
    names = copy.copy(list(checkpoint['state_dict']))
    convert_official(checkpoint)
    assert list(checkpoint['state_dict']) == names


def edit(**changes):
    """Return a checkpoint with some tensors replaced, or removed if the value is None."""
    weights = official_state_dict(18, prefix='')
    for key, value in changes.items():
        key = key.replace('__', '.')
        weights.pop(key) if value is None else weights.__setitem__(key, value)
    return weights


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ([1, 2], 'this file holds a list'),
        ({}, 'no state_dict found'),
        (dict(state_dict={}), 'no state_dict found'),
        (dict(a=3), 'expected tensors by name'),
        (dict(a=torch.zeros(1)), "no tensor is named like 'conv1.weight'"),
        (edit(layer1__0__eca__conv__weight=torch.zeros(1, 1, 5)), 'must be one for each of 4 stages'),
        (edit(conv1__weight=None), "no tensor is named like 'conv1.weight'"),
        (edit(layer1__0__conv1__weight=None), r"missing \['layer1.0.conv1.weight'\]"),
        (edit(extra=torch.zeros(1)), r"unexpected \['extra'\]"),
        (
            edit(conv1__weight=torch.zeros(64, 1, 7, 7)),
            r'conv1.weight \(64, 1, 7, 7\) instead of \(64, 3, 7, 7\)',
        ),
        (edit(conv1__weight=torch.full((64, 3, 7, 7), float('nan'))), 'NaN or infinity'),
        ({k: v for k, v in edit().items() if '.eca.' not in k}, 'no tensor is named like .*eca.conv.weight'),
        ({**edit(), **{f'module.{k}': v for k, v in edit().items()}}, 'two tensors'),
    ],
)
def test_convert__rejects_unexpected_tensors(checkpoint, message):
    with pytest.raises(ValueError, match=message):
        convert_official(checkpoint)
