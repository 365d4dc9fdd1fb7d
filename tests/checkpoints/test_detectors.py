import mmdet1_reference as rules
import pytest
import torch

from eca_mmdet.checkpoints import (
    convert,
    detector_to_1x,
    detector_to_3x,
    recognise_detector,
)
from eca_mmdet.checkpoints.detector_configs import detector_config, expected_tensors

HEAD = 'roi_head.bbox_head'


@pytest.fixture(scope='module')
def mask_1x():
    torch.manual_seed(1)
    return rules.detector_1x('Mask R-CNN')


@pytest.fixture(scope='module')
def retina():
    torch.manual_seed(2)
    return rules.detector_1x('RetinaNet')


def edit(weights, **changes):
    """Return weights with some tensors replaced, or removed if the value is None."""
    weights = dict(weights)
    for key, value in changes.items():
        key = key.replace('__', '.')
        weights.pop(key) if value is None else weights.__setitem__(key, value)
    return weights


@pytest.mark.parametrize(('kind', 'depth'), sorted(rules.SIZES))
def test_convert__recognises_the_six_released_detectors(kind, depth):
    weights = rules.detector_1x(kind, depth)
    meta = dict(mmdet_version='1.0.0+2c7b3d4', CLASSES=tuple(map(str, range(80))), epoch=12)
    checkpoint = dict(state_dict=weights, meta=meta, optimizer=dict(state={}))
    assert recognise_detector(weights)
    conversion = convert(checkpoint)
    assert conversion.source == f'mmdet 1.x {kind}'
    assert conversion.backbone == dict(
        type='ECAResNet', depth=depth, eca_kernel_sizes=list(rules.SIZES[kind, depth])
    )
    name = {'Faster R-CNN': 'faster_rcnn', 'Mask R-CNN': 'mask_rcnn', 'RetinaNet': 'retinanet'}[kind]
    assert conversion.detector.config == f'legacy/{name}_ecanet{depth}_fpn_1x_v1.py'
    assert (conversion.detector.num_classes, conversion.detector.classes) == (80, meta['CLASSES'])
    assert conversion.added == []
    assert conversion.dropped[:2] == ['meta', 'optimizer']
    cfg = detector_config(conversion.detector.config, rules.SIZES[kind, depth], 80)
    shapes = {key: value.shape for key, value in expected_tensors(cfg).items()}
    assert {key: value.shape for key, value in conversion.state_dict.items()} == shapes


def assert_each_class_kept(new, old):
    """Check weights and biases by row: class c in 3.x was class c + 1 in 1.x."""
    for part in ('weight', 'bias'):
        for c in range(80):
            torch.testing.assert_close(
                new[f'{HEAD}.fc_cls.{part}'][c], old[f'bbox_head.fc_cls.{part}'][c + 1]
            )
            for i in range(4):
                torch.testing.assert_close(
                    new[f'{HEAD}.fc_reg.{part}'][4 * c + i],
                    old[f'bbox_head.fc_reg.{part}'][4 * (c + 1) + i],
                )
            torch.testing.assert_close(
                new[f'roi_head.mask_head.conv_logits.{part}'][c],
                old[f'mask_head.conv_logits.{part}'][c + 1],
            )
        torch.testing.assert_close(new[f'{HEAD}.fc_cls.{part}'][80], old[f'bbox_head.fc_cls.{part}'][0])


def test_to_3x__gives_each_class_its_own_weights_and_biases(mask_1x):
    assert_each_class_kept(detector_to_3x(mask_1x), mask_1x)


@pytest.mark.parametrize(
    ('name', 'rows'), [(f'{HEAD}.fc_reg', 4), ('roi_head.mask_head.conv_logits', 1)], ids=['boxes', 'masks']
)
def test_bias_rule_of_mmdets_upgrade_tool__gives_other_biases(mask_1x, name, rows):
    """mmdet's upgrade tool removes the last class from these biases instead of the background."""
    new = detector_to_3x(mask_1x)
    new[f'{name}.bias'] = mask_1x[f'{name}.bias'.removeprefix('roi_head.')][:-rows]
    with pytest.raises(AssertionError):
        assert_each_class_kept(new, mask_1x)


def test_to_3x__changes_only_the_heads_with_a_background_class(mask_1x):
    new = detector_to_3x(mask_1x)
    changed = ('fc_cls', 'fc_reg', 'conv_logits')
    for key, value in mask_1x.items():
        if not any(name in key for name in changed):
            key = f'roi_head.{key}' if key.startswith(('bbox_head', 'mask_head')) else key
            assert new[key] is value
    assert len(new) == len(mask_1x)


def test_to_3x__does_not_change_a_retinanet(retina):
    assert detector_to_3x(retina) == retina


def test_to_1x__inverts_to_3x(mask_1x):
    new = detector_to_3x(mask_1x)
    again = detector_to_3x(detector_to_1x(new))
    assert list(again) == list(new)
    assert all(torch.equal(again[key], new[key]) for key in new)
    old = detector_to_1x(new)
    assert list(old) == list(mask_1x)
    background = {'bbox_head.fc_reg': 4, 'mask_head.conv_logits': 1}  # which 1.x never read
    for key, value in mask_1x.items():
        rows = background.get(key.rpartition('.')[0], 0)
        if rows:
            value = torch.cat((torch.zeros_like(value[:rows]), value[rows:]))
        assert torch.equal(old[key], value)


def test_convert__does_not_keep_the_memory_of_removed_rows(mask_1x):
    for key, value in convert(mask_1x).state_dict.items():
        assert value.untyped_storage().nbytes() == value.numel() * value.element_size(), key


def test_convert__reports_what_it_did(mask_1x):
    conversion = convert(dict(state_dict={f'module.{k}': v for k, v in mask_1x.items()}, iter=3))
    assert ('module.bbox_head.fc_cls.weight', f'{HEAD}.fc_cls.weight') in conversion.renamed
    assert conversion.dropped == [
        'iter',
        'bbox_head.fc_reg.weight[:4] (background)',
        'bbox_head.fc_reg.bias[:4] (background)',
        'mask_head.conv_logits.weight[:1] (background)',
        'mask_head.conv_logits.bias[:1] (background)',
    ]


def test_convert__does_not_change_its_input(mask_1x):
    before = {key: value.clone() for key, value in mask_1x.items()}
    convert(mask_1x)
    assert list(before) == list(mask_1x)
    assert all(torch.equal(before[key], mask_1x[key]) for key in before)


@pytest.mark.parametrize(
    ('meta', 'source', 'config'),
    [
        (dict(mmdet_version='2.7.0', CLASSES=['a'] * 80), '2.x', 'mask_rcnn_ecanet50_fpn_1x.py'),
        (dict(mmengine_version='0.10.7'), '3.x', 'mask_rcnn_ecanet50_fpn_1x.py'),
        (
            dict(mmengine_version='0.10.7', cfg="type='Legacy1xBBoxCoder'"),
            '3.x',
            'legacy/mask_rcnn_ecanet50_fpn_1x_v1.py',
        ),
    ],
)
def test_convert__does_not_change_a_newer_detector(mask_1x, meta, source, config):
    weights = detector_to_3x(mask_1x)
    conversion = convert(dict(state_dict=weights, meta=meta))
    assert (conversion.source, conversion.detector.config) == (f'mmdet {source} Mask R-CNN', config)
    assert conversion.state_dict == weights
    assert (conversion.renamed, conversion.dropped, conversion.added) == ([], ['meta'], [])


def test_convert__supports_other_numbers_of_classes():
    conversion = convert(rules.detector_1x('Faster R-CNN', classes=1))
    assert conversion.detector.num_classes == 1
    assert conversion.state_dict[f'{HEAD}.fc_reg.bias'].shape == (4,)


def test_retinanet__needs_an_explicit_version(retina):
    with pytest.raises(ValueError, match='does not say its version. Pass --source detector-1.x'):
        convert(retina)
    assert convert(retina, source='detector-2.x').detector.config == 'retinanet_ecanet50_fpn_1x.py'
    stated = dict(state_dict=retina, meta=dict(mmdet_version='1.2.0'))
    assert convert(stated).detector.config == 'legacy/retinanet_ecanet50_fpn_1x_v1.py'


NAN = torch.full((1024,), float('nan'))


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(bbox_head__shared_fcs__1__bias=NAN), r"NaN or infinity.*shared_fcs.1.bias'\]"),
        (dict(bbox_head__fc_cls__bias=None), r"missing \['bbox_head.fc_cls.bias'\]"),
        (dict(extra=torch.zeros(1)), r"unexpected \['extra'\]"),
        (dict(bbox_head__fc_reg__bias=torch.zeros(320)), r'fc_reg.bias \(320,\) instead of \(324,\)'),
        (dict(mask_head__conv_logits__bias=torch.tensor(1.0)), r'conv_logits.bias \(\) instead of \(81,\)'),
        (dict(bbox_head__fc_cls__weight=None), 'read from bbox_head.fc_cls.weight.*nothing'),
        (dict(bbox_head__fc_cls__weight=torch.tensor(1.0)), r'read from bbox_head.fc_cls.weight.*\(\)'),
        (dict(bbox_head__fc_reg__weight=torch.zeros(4, 1024)), 'fc_reg.weight is class-agnostic'),
        (
            dict(mask_head__conv_logits__weight=torch.zeros(1, 256, 1, 1)),
            'conv_logits.weight is class-agnostic',
        ),
        (dict(roi_head__bbox_head__fc_cls__bias=torch.zeros(81)), r'heads of mmdet 1.x .* and of later'),
        (
            dict(backbone__layer1__0__eca__conv__weight=torch.zeros(1, 1, 9)),
            'one for each of 4 stages',
        ),
        (dict(backbone__layer3__6__conv1__weight=torch.zeros(1)), 'layer3 has 7 blocks'),
    ],
)
def test_convert__rejects_inconsistent_tensors(mask_1x, changes, message):
    with pytest.raises(ValueError, match=message):
        convert(edit(mask_1x, **changes))


@pytest.mark.parametrize(
    ('select', 'options', 'message'),
    [
        (lambda k: '.eca.' not in k, {}, 'has no ECA weights'),
        (
            lambda k: not k.startswith('bbox_head'),
            {},
            'only Faster R-CNN, Mask R-CNN and RetinaNet can be converted',
        ),
        (lambda k: True, dict(source='detector-2.x'), 'named as in mmdet 1.x, not 2.x'),
        (lambda k: True, dict(source='detector-4.x'), "source='detector-4.x': allowed are"),
    ],
)
def test_convert__rejects_other_detectors(mask_1x, select, options, message):
    with pytest.raises(ValueError, match=message):
        convert({k: v for k, v in mask_1x.items() if select(k)}, **options)


@pytest.mark.parametrize(
    ('meta', 'message'),
    [
        (dict(CLASSES=('cat', 'dog')), 'names 2 classes, but its weights have 80'),
        (dict(CLASSES='cat'), 'class names must be a list of strings'),
        (dict(eca_mmdet='0.1.0'), 'already converted'),
    ],
)
def test_convert__checks_the_metadata(mask_1x, meta, message):
    with pytest.raises(ValueError, match=message):
        convert(dict(state_dict=mask_1x, meta=meta))


def test_recognise__distinguishes_detectors_from_backbones():
    assert not recognise_detector({'backbone.conv1.weight': 0, 'head.fc.weight': 0})
    assert not recognise_detector({'module.conv1.weight': 0, 'module.fc.weight': 0})
    assert recognise_detector({'module.backbone.conv1.weight': 0, 'module.bbox_head.fc_cls.weight': 0})
