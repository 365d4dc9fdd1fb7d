import pytest
import torch
from mmengine.registry import MODELS
from reference import official_state_dict as official_resnet
from reference_mobilenet import BLOCKS, features, official_checkpoint, official_state_dict

from eca_mmdet import ECAMobileNetV2
from eca_mmdet.checkpoints import convert, find_weights
from eca_mmdet.checkpoints.formats import recognise


def convert_official_mobilenet(checkpoint):
    return convert(checkpoint, source='official-mobilenetv2')


def to_official_mobilenet(state_dict):
    return convert(state_dict, target='official').state_dict


def recognise_official_mobilenet(state_dict):
    try:
        return recognise(find_weights(state_dict)).name == 'official-mobilenetv2'
    except ValueError:
        return False


def without_classifier(weights):
    return {k: v for k, v in weights.items() if 'classifier' not in k}


def assert_same_tensors(ours, theirs):
    """Check that two state_dicts hold the same tensor objects under the same names in the same order."""
    assert list(ours) == list(theirs)
    assert all(ours[key] is theirs[key] for key in ours)


def test_converted_backbone__computes_the_features_of_the_original_network():
    checkpoint = official_checkpoint(dtype=torch.float64)
    conversion = convert_official_mobilenet(checkpoint)
    backbone = MODELS.build(dict(**conversion.backbone, out_indices=range(8))).double().eval()
    backbone.load_state_dict(conversion.state_dict, strict=True)
    x = torch.randn(1, 3, 64, 48, dtype=torch.float64)
    original = {k.removeprefix('module.'): v for k, v in checkpoint['state_dict'].items()}
    for ours, theirs in zip(backbone(x), features(original, x)):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-10)


def test_convert__keeps_every_tensor_except_the_classifier():
    checkpoint = official_checkpoint()
    names = list(checkpoint['state_dict'])
    conversion = convert(checkpoint)
    assert list(checkpoint['state_dict']) == names
    assert conversion.dropped == [
        'epoch', 'arch', 'best_prec1', 'optimizer',
        'fc.weight (1000, 1280)', 'fc.bias (1000,)',
    ]  # fmt: skip
    assert [old for old, _ in conversion.renamed] == list(without_classifier(checkpoint['state_dict']))
    assert ('module.features.2.conv.4.conv.weight', 'layer2.0.eca.conv.weight') in conversion.renamed
    assert ('module.features.1.conv.1.weight', 'layer1.0.linear_conv.conv.weight') in conversion.renamed
    assert conversion.added == []


def test_convert__reports_the_released_kernel_sizes():
    conversion = convert_official_mobilenet(official_checkpoint())
    assert conversion.backbone == dict(type='ECAMobileNetV2', eca_kernel_sizes=[1, 1, 1, 1, 3, 3, 3])
    with torch.device('meta'):
        assert list(ECAMobileNetV2().eca_kernel_sizes) == conversion.backbone['eca_kernel_sizes']


def test_convert__reads_other_kernel_sizes_from_the_checkpoint():
    sizes = [{16: 9, 24: 7, 32: 5, 64: 3, 96: 1, 160: 3, 320: 5}[width] for width, *_ in BLOCKS]
    conversion = convert_official_mobilenet(official_state_dict(sizes=sizes))
    assert conversion.backbone['eca_kernel_sizes'] == [9, 7, 5, 3, 1, 3, 5]
    MODELS.build(conversion.backbone).load_state_dict(conversion.state_dict, strict=True)


def test_convert__reads_the_flat_format():
    """Equal weights in both formats must be converted to equal backbones."""
    nested = convert_official_mobilenet(official_state_dict(prefix='')).state_dict
    flat = official_state_dict(prefix='', flat=True)
    flat['classifier.weight'] = flat.pop('classifier.1.weight')
    conversion = convert(flat)
    assert list(conversion.state_dict) == list(nested)
    torch.testing.assert_close(conversion.state_dict, nested, rtol=0, atol=0)
    assert 'fc.weight (1000, 1280)' in conversion.dropped


def test_convert__adds_missing_batch_counters():
    weights = {k: v for k, v in official_state_dict().items() if not k.endswith('num_batches_tracked')}
    conversion = convert_official_mobilenet(weights)
    assert len(conversion.added) == 2 + 3 * 17 - 1
    MODELS.build(conversion.backbone).load_state_dict(conversion.state_dict, strict=True)


def test_round_trip__from_official_and_back_is_the_identity():
    weights = official_state_dict()
    backbone = convert_official_mobilenet(weights).state_dict
    assert_same_tensors(to_official_mobilenet(backbone), without_classifier(weights))
    classifier = {name: weights[f'module.classifier.1.{name}'] for name in ('weight', 'bias')}
    whole = {**backbone, **{f'fc.{name}': value for name, value in classifier.items()}}
    assert_same_tensors(to_official_mobilenet(whole), weights)


@pytest.mark.parametrize('sizes', [None, 'adaptive'])
def test_round_trip__to_official_and_back_is_the_identity(sizes):
    backbone = ECAMobileNetV2(eca_kernel_sizes=sizes)
    weights = dict(backbone.state_dict())
    conversion = convert_official_mobilenet(to_official_mobilenet(weights))
    assert_same_tensors(conversion.state_dict, weights)
    assert conversion.backbone['eca_kernel_sizes'] == list(backbone.eca_kernel_sizes)


@pytest.mark.parametrize(
    ('prefix', 'other_entries', 'source', 'recognised'),
    [
        ('', (), None, 'mmdet backbone'),
        ('module.', (), None, 'mmdet backbone'),
        ('backbone.', ('head.fc.weight', 'head.fc.bias'), None, 'MMPretrain classifier'),
        ('module.backbone.', ('module.neck.a',), 'backbone-of-detector', 'backbone of a detector'),
    ],
)
def test_convert__finds_the_backbone_in_openmmlab_checkpoints(prefix, other_entries, source, recognised):
    weights = ECAMobileNetV2().state_dict()
    file = {prefix + key: value for key, value in weights.items()}
    conversion = convert({**file, **{name: torch.zeros(1) for name in other_entries}}, source)
    assert conversion.source == recognised
    assert_same_tensors(conversion.state_dict, weights)


def test_recognise__accepts_both_formats_with_and_without_prefix():
    for flat in (False, True):
        for prefix in ('', 'module.'):
            assert recognise_official_mobilenet(official_state_dict(prefix=prefix, flat=flat))


def test_recognise__rejects_other_networks():
    weights = official_state_dict()
    without_eca = {k: v for k, v in weights.items() if v.dim() != 3}
    ours = convert_official_mobilenet(weights).state_dict
    for other in (without_eca, ours, official_resnet(18), {}):
        assert recognise_official_mobilenet(other) is False


def edit(**changes):
    """Return official weights with some tensors replaced, or removed if the value is None."""
    weights = official_state_dict(prefix='')
    for key, value in changes.items():
        key = key.replace('__', '.')
        weights.pop(key) if value is None else weights.__setitem__(key, value)
    return weights


@pytest.mark.parametrize(
    ('checkpoint', 'message'),
    [
        ([1, 2], 'this file holds a list'),
        (dict(a=torch.zeros(1)), 'no tensor is named like .*features.2.conv'),
        (edit(features__3__conv__4__conv__weight=torch.zeros(1, 1, 5)), 'one for each of 7 stages'),
        (edit(features__1__conv__3__conv__weight=None), 'one for each of 7 stages'),
        (edit(features__0__0__weight=None), r"missing \['conv1.conv.weight'\]"),
        (edit(features__19__weight=torch.zeros(1)), r"unexpected \['features.19.weight'\]"),
        (
            edit(features__0__0__weight=torch.zeros(16, 3, 3, 3)),
            r'conv1.conv.weight \(16, 3, 3, 3\) instead of \(32, 3, 3, 3\)',
        ),
        (edit(features__17__conv__4__conv__weight=torch.zeros(1, 1, 4)), 'positive odd integer'),
        ({**edit(), 'conv1.conv.weight': torch.zeros(1)}, 'two tensors'),
        ({**edit(), **official_state_dict()}, 'two tensors'),
    ],
)
def test_convert__rejects_unexpected_tensors(checkpoint, message):
    with pytest.raises(ValueError, match=message):
        convert_official_mobilenet(checkpoint)


def test_to_official__rejects_other_backbones():
    weights = dict(ECAMobileNetV2().state_dict())
    with pytest.raises(ValueError, match=r"unexpected \['neck.weight'\]"):
        to_official_mobilenet({**weights, 'neck.weight': torch.zeros(1)})
    with pytest.raises(ValueError, match='instead of'):
        to_official_mobilenet(dict(ECAMobileNetV2(widen_factor=0.5).state_dict()))
    del weights['conv2.conv.weight']
    with pytest.raises(ValueError, match=r"missing \['conv2.conv.weight'\]"):
        to_official_mobilenet(weights)
