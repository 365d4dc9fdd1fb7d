import pytest
import torch
from format_examples import backbone_weights, byob, detector, mmpretrain, official, plain, squeeze, timm
from mmengine.registry import MODELS
from reference import official_checkpoint
from reference_mobilenet import official_state_dict as official_mobilenet

from eca_mmdet import ECAMobileNetV2, ECAResNet
from eca_mmdet.backbones import VARIANTS
from eca_mmdet.checkpoints import convert


@pytest.fixture(scope='module')
def light():
    return timm(**VARIANTS['ecaresnet26t'])


def values_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        torch.testing.assert_close(ours[key], value, rtol=0, atol=0, msg=key)


def stripped(weights):
    return {key.removeprefix('module.'): value for key, value in weights.items()}


@pytest.mark.parametrize(
    ('make', 'source', 'described'),
    [
        (official, 'official', 'ECA-ResNet-18, kernel sizes 3577'),
        (lambda: official(prefix=''), 'official', 'ECA-ResNet-18, kernel sizes 3577'),
        (lambda: official_checkpoint(18), 'official', 'ECA-ResNet-18, kernel sizes 3577'),
        (lambda: dict(model=official(prefix='')), 'official', 'ECA-ResNet-18, kernel sizes 3577'),
        (lambda: timm(512, depth=18), "timm's ECA", 'ECA-ResNet-18, kernel sizes 3577'),
        (lambda: timm(**VARIANTS['ecaresnext26t_32x4d']), "timm's ECA", '(timm ecaresnext26t_32x4d)'),
        (plain, 'plain ResNet of torchvision or timm', 'ECA-ResNet-18, kernel sizes 3577'),
        (
            lambda: plain(50, 2048, groups=32, base_width=8),
            'plain ResNet',
            'kernel sizes 3557, groups=32, base_width=8',
        ),
        (
            lambda: plain(26, 2048, deep_stem=True, avg_down=True),
            "timm's plain ResNet",
            'kernel sizes 5557, deep_stem=True, avg_down=True',
        ),
        (
            lambda: mmpretrain(depth=26, deep_stem=True, avg_down=True),
            'MMPretrain classifier',
            'kernel sizes 5557, deep_stem=True, avg_down=True',
        ),
        (
            lambda: mmpretrain('ours', **VARIANTS['ecaresnet26t']),
            'MMPretrain classifier',
            '(timm ecaresnet26t)',
        ),
        (lambda: backbone_weights(depth=18), 'mmdet backbone', 'ECA-ResNet-18, kernel sizes 3577'),
        (lambda: backbone_weights(**VARIANTS['ecaresnet26t']), 'mmdet backbone', '(timm ecaresnet26t)'),
    ],
)
def test_recognised_checkpoint__loads_into_its_backbone(make, source, described):
    conversion = convert(make())
    assert source in conversion.source
    assert described in conversion.network
    backbone = {key: value for key, value in conversion.backbone.items() if key != 'type'}
    with torch.device('meta'):
        model = ECAResNet(**backbone)
    model.load_state_dict(conversion.state_dict, strict=True, assign=True)


@pytest.mark.parametrize('wide', [False, True])
def test_wide_resnet__is_converted_to_block_widths(wide):
    widths = tuple(((2 * p, 2 * p, 4 * p),) * 2 for p in (64, 128, 256, 512)) if wide else None
    conversion = convert(plain(26, 2048, block_widths=widths))
    assert conversion.backbone.get('block_widths') == widths


def test_mmpretrain__tensors_are_converted_to_mmdet_names():
    weights = backbone_weights(depth=26, deep_stem=True, avg_down=True)
    source = mmpretrain(depth=26, deep_stem=True, avg_down=True)
    conversion = convert(source)
    for ours, theirs in [('stem.4.bias', 'stem.1.bn.bias'), ('stem.6.weight', 'stem.2.conv.weight'),
                         ('layer1.0.downsample.1.weight', 'layer1.0.downsample.0.weight'),
                         ('layer1.0.downsample.2.bias', 'layer1.0.downsample.1.bias'),
                         ('layer2.0.downsample.1.weight', 'layer2.0.downsample.1.weight')]:  # fmt: skip
        torch.testing.assert_close(conversion.state_dict[ours], source[f'backbone.{theirs}'], rtol=0, atol=0)
    assert conversion.state_dict.keys() == weights.keys()


@pytest.mark.parametrize('between', ['timm', 'official'])
def test_round_trip__of_an_official_file_keeps_every_tensor_and_the_classifier(between):
    source = official()
    back = convert(convert(source, target=between).state_dict, target='official')
    values_equal(back.state_dict, source)


@pytest.mark.parametrize('between', ['timm', 'official'])
def test_round_trip__of_a_timm_file_keeps_every_tensor_and_the_classifier(between):
    source = timm(512, depth=18)
    back = convert(convert(source, target=between).state_dict, target='timm')
    values_equal(back.state_dict, source)


def test_round_trip__of_a_deep_stem_through_mmdet_keeps_all_but_the_classifier(light):
    back = convert(convert(light).state_dict, target='timm')
    values_equal(back.state_dict, {k: v for k, v in light.items() if not k.startswith('fc.')})
    assert back.classifier == {}


def test_round_trip__of_an_official_mobilenet_keeps_every_tensor_and_the_classifier():
    source = official_mobilenet()
    conversion = convert(source, target='official')
    values_equal(conversion.state_dict, source)
    back = convert(convert(source).state_dict, target='official')
    values_equal(back.state_dict, {k: v for k, v in source.items() if '.classifier.' not in k})
    assert back.source == 'mmdet backbone'


def test_to_official__writes_the_official_names():
    source = official()
    values_equal(convert(stripped(source), target='official').state_dict, source)


def test_classifier__is_reported_as_dropped_only_for_mmdet(light):
    assert convert(light).dropped == ['fc.weight (1000, 2048)', 'fc.bias (1000,)']
    assert convert(light, target='timm').dropped == []


def test_report__names_the_source_and_target_format(light):
    assert convert(light, target='timm').renamed == []
    assert ('bn1.bias', 'stem.7.bias') in convert(light).renamed
    renamed = convert(timm(512, depth=18), target='official').renamed
    assert ('layer1.0.se.conv.weight', 'module.layer1.0.eca.conv.weight') in renamed
    assert ('fc.bias', 'module.fc.bias') in renamed


def test_plain_resnet__gets_reproducible_eca_without_changing_the_random_state():
    source = plain()
    state = torch.get_rng_state()
    first, second = convert(source), convert(source)
    assert torch.equal(torch.get_rng_state(), state)
    assert [name for name in first.added if '.eca.' in name] == first.added
    assert len(first.added) == 8
    values_equal(first.state_dict, second.state_dict)
    assert first.state_dict['layer1.0.eca.conv.weight'].abs().max() <= 3**-0.5  # initialization of a Conv1d


def test_plain_resnet__gets_the_requested_kernel_sizes():
    assert convert(plain(), eca_kernel_sizes='adaptive').backbone['eca_kernel_sizes'] == [3, 5, 5, 5]


def test_backbone_of_detector__is_converted_on_request():
    source = detector()
    conversion = convert(source, source='backbone-of-detector')
    assert conversion.dropped == ['1 tensors of neck']
    values_equal(
        {f'backbone.{k}': v for k, v in conversion.state_dict.items()} | {'neck.a': source['neck.a']}, source
    )


@pytest.mark.parametrize('deep', [False, True])
@pytest.mark.parametrize('bias', [False, True])
def test_se_resnet__converts_to_a_backbone_and_back(deep, bias):
    attention = dict(type='SELayer', ratio=16, bias=bias)
    arguments = dict(depth=50, attention=attention, deep_stem=deep, avg_down=deep)
    source = timm(2048, **arguments)
    conversion = convert(source)
    assert (conversion.source, conversion.added) == ("timm's SE-ResNet", [])
    assert conversion.backbone['attention'] == attention
    model = ECAResNet(**{key: value for key, value in conversion.backbone.items() if key != 'type'})
    model.load_state_dict(conversion.state_dict, strict=True)
    values_equal(convert(source, target='timm').state_dict, source)


CLASSIFIERS = {
    'official': (official, 'official'),
    'timm': (lambda: timm(512, depth=18), 'timm'),
    'deep stem': (lambda: timm(**VARIANTS['ecaresnet26t']), 'timm'),
    'SE': (lambda: timm(512, depth=18, attention='se'), 'timm'),
    'plain': (plain, 'timm'),
    'MobileNetV2': (official_mobilenet, 'official'),
    'ByobNet': (lambda: byob('eca_resnext26ts'), 'timm'),
}


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_to_mmpretrain__and_back_keeps_every_tensor_and_the_classifier(name):
    make, form = CLASSIFIERS[name]
    source = make()
    conversion = convert(source, target='mmpretrain')
    assert {key.split('.')[0] for key in conversion.state_dict} == {'backbone', 'head'}
    torch.testing.assert_close(
        conversion.state_dict['head.fc.weight'],
        next(value for key, value in source.items() if value.dim() == 2),
        rtol=0,
        atol=0,
    )
    back = convert(conversion.state_dict, target=form, eca_kernel_sizes='none')
    assert back.source == 'MMPretrain classifier'
    values_equal(back.state_dict, source)


def test_to_mmpretrain__adds_no_eca_to_a_plain_network():
    conversion = convert(plain(), target='mmpretrain')
    assert (conversion.backbone, conversion.added) == (dict(type='ECAResNet', depth=18, attention='none'), [])


def test_to_mmpretrain__adds_eca_to_a_plain_network_on_request():
    conversion = convert(plain(), target='mmpretrain', eca_kernel_sizes='3333')
    assert conversion.state_dict['backbone.layer1.0.eca.conv.weight'].shape == (1, 1, 3)


@pytest.mark.parametrize('attention', ['none', 'se'])
def test_mobilenet_without_eca__converts_to_its_backbone(attention):
    with torch.device('meta'):
        shapes = ECAMobileNetV2(attention=attention).state_dict()
    source = {f'backbone.{name}': torch.rand(value.shape) for name, value in shapes.items()}
    conversion = convert(source, eca_kernel_sizes='none')
    assert attention in conversion.network.lower()
    MODELS.build(conversion.backbone).load_state_dict(conversion.state_dict, strict=True)
    with pytest.raises(ValueError, match='MobileNetV2 with ECA only'):
        convert(source, target='official', eca_kernel_sizes='none')


@pytest.mark.parametrize('variant', ['eca_resnet33ts', 'eca_resnext26ts'])
def test_byobnet__converts_to_a_backbone_and_back(variant):
    source = byob(variant)
    conversion = convert(source)
    assert conversion.backbone == dict(type='ECAByobNet', variant=variant, eca_kernel_sizes=[3, 5, 5, 5])
    MODELS.build(conversion.backbone).load_state_dict(conversion.state_dict, strict=True)
    values_equal(convert(source, target='timm').state_dict, source)
    for prefix, form in (('', None), ('backbone.', None), ('backbone.', 'backbone-of-detector')):
        wrapped = {f'{prefix}{name}': value for name, value in conversion.state_dict.items()}
        again = convert(wrapped, form)
        assert again.backbone == conversion.backbone
        values_equal(again.state_dict, conversion.state_dict)


def se_resnet():
    return timm(512, depth=18, attention='se')


def stage_blocks():
    return timm(depth=50, stage_blocks=(1, 1, 1, 1))


@pytest.mark.parametrize(
    ('make', 'options', 'message'),
    [
        (detector, {}, "a whole model .*source='backbone-of-detector'"),
        (byob, dict(eca_kernel_sizes='3333'), 'already has an attention'),
        (byob, dict(target='mmpretrain'), 'eca_resnet33ts has a convolution before its classifier'),
        (detector, dict(target='mmpretrain'), "a whole model .*source='backbone-of-detector'"),
        (byob, dict(target='official'), 'ECAByobNet cannot be written for official, only for mmdet, timm'),
        (lambda: {k: v for k, v in byob().items() if 'stages.3' not in k}, {}, 'only eca_resnet33ts, '),
        (squeeze, {}, "looks like SE-ResNet-18, .*missing .'layer1.0.se.fc2.weight'"),
        (lambda: {**official(), 'layer1.0.cbam.a': torch.zeros(1)}, {}, "'layer1.0.cbam.a', which"),
        (lambda: dict(a=torch.zeros(1)), {}, r"no known format: .*\['a'\]; known are official, timm"),
        (
            lambda: {**timm(512, depth=18), **official(prefix='')},
            {},
            r"looks like ECA-ResNet-18.*unexpected \['layer1.0.se.conv.weight'",
        ),
        (
            lambda: {**plain(), **backbone_weights(**VARIANTS['ecaresnet26t'])},
            {},
            'not sure',
        ),
        (lambda: {**official(), **official(prefix='')}, {}, 'would both be named'),
        (official, dict(source='tf'), "source='tf': allowed are official, timm"),
        (official, dict(target='tf'), "target='tf': allowed are mmdet, official, mmpretrain, timm"),
        (official, dict(source='backbone-of-detector'), "no name starts with 'backbone.'"),
        (official, dict(eca_kernel_sizes='3333'), 'already has an attention'),
        (official_mobilenet, dict(eca_kernel_sizes='3333'), 'already has an attention'),
        (official_mobilenet, dict(target='timm'), 'cannot be written for timm, only for mmdet, official'),
        (se_resnet, dict(eca_kernel_sizes='3333'), 'already has an attention'),
        (se_resnet, dict(target='official'), 'depth 18 and attention: '),
        (plain, dict(eca_kernel_sizes='33'), '2 entries .* 4 stages'),
        (plain, dict(source='official'), 'no tensor is named like .*eca.conv.weight'),
        (official, dict(source='plain'), "format 'plain': it has 'layer1.0.eca.conv.weight'"),
        (official, dict(source='timm'), "no tensor is named like 'layer.*se.conv.weight'"),
        (stage_blocks, dict(target='official'), '7x7 stem .* depth 50 and stage_blocks: .*--to timm'),
        (lambda: plain(stem_channels=32), dict(target='timm'), "plain stem of 32 channels: timm's has 64"),
        (
            lambda: {k: v for k, v in official().items() if 'fc.bias' not in k},
            dict(target='timm'),
            r"the classifier has only \['fc.weight'\]",
        ),
        (lambda: {**official(), 'module.conv1.weight': torch.zeros(64)}, {}, 'weight of a 2D convolution'),
        (
            lambda: {k: v for k, v in plain(50, 2048).items() if k != 'layer1.0.conv2.weight'},
            {},
            r"missing \['layer1.0.conv2.weight'\]",
        ),
        (
            lambda: {k: v for k, v in plain().items() if not k.startswith('layer3')},
            {},
            r'four stages: it has \(2, 2, 0, 2\) basic blocks',
        ),
        (lambda: {**plain(), 'conv1.weight': torch.zeros(1).expand(64, 3, 7, 7)}, {}, 'more values than'),
        (lambda: {**plain(), 'conv1.weight': torch.zeros(64, 3).to_sparse()}, {}, 'sparse or quantized'),
    ],
)  # fmt: skip
def test_convert__rejects_ambiguous_checkpoints(make, options, message):
    with pytest.raises(ValueError, match=message):
        convert(make(), **options)
