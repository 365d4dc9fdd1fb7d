"""Compare counted operations with other counters and closed forms."""

import pytest
import torch
from mmcv.cnn import get_model_complexity_info
from mmdet.models.backbones import ResNet
from mmengine.analysis import FlopAnalyzer
from torch import nn

from eca_mmdet import ECALayer, ECAResNet
from eca_mmdet.analysis import CONVENTIONS, build_backbone, build_detector, count_cost

SIZES, BLOCKS, CHANNELS = (3, 5, 5, 7), (3, 4, 6, 3), (256, 512, 1024, 2048)


def operations(module, side, convention='macs'):
    """Count the operations of a module for a square image with three channels."""
    return count_cost(module, (side, side), CONVENTIONS[convention]).total.operations


@pytest.mark.parametrize('options', [dict(depth=18), dict(depth=50, deep_stem=True, avg_down=True)])
def test_mmdet1_convention__equals_the_counter_of_mmcv(options):
    """mmcv's counter is that of mmdet 1.x, which counts in hooks of the modules."""
    network = ResNet(**options)
    network.eval()
    published, _ = get_model_complexity_info(
        network, (3, 64, 64), print_per_layer_stat=False, as_strings=False
    )
    assert operations(network, 64, 'mmdet1') == published


def test_macs__equal_the_convolutions_counted_by_mmengine():
    backbone = ECAResNet(depth=26, deep_stem=True, groups=32).eval()
    counted = FlopAnalyzer(backbone, torch.rand(1, 3, 64, 64)).by_operator()['conv']
    assert operations(backbone, 64) == counted


def test_macs__of_a_grouped_convolution_equal_the_closed_form():
    assert operations(nn.Conv2d(3, 9, 3, groups=3, padding=1), 8) == 8 * 8 * 9 * 9


@pytest.mark.parametrize(('convention', 'positions', 'bias'), [('macs', 1, 0), ('mmdet1', 4, 1)])
def test_transposed_convolution__is_counted_at_the_positions_of_the_convention(convention, positions, bias):
    layer = nn.ConvTranspose2d(3, 5, 2, stride=2)
    counted = positions * 8 * 8 * 3 * 5 * 4 + bias * 16 * 16 * 5
    assert operations(layer, 8, convention) == counted


@pytest.mark.parametrize(
    ('convention', 'counted'), [('macs', 3 * 5), ('timm', 15), ('mmdet1', 15 + 3 * 8 * 8), ('thop2019', 207)]
)
def test_eca__is_counted_with_pooling_if_the_convention_includes_it(convention, counted):
    assert operations(ECALayer(kernel_size=5), 8, convention) == counted


def test_linear__is_counted_twice_by_thop2019():
    layer = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 4, 7))
    assert (operations(layer, 4), operations(layer, 4, 'thop2019')) == (48 * 7, 2 * 48 * 7)


def test_ecanet50__has_80_attention_parameters_and_their_multiply_adds():
    cost = count_cost(build_backbone('50'), (224, 224))
    stages = {part.name: part for part in cost.parts}
    for stage, (size, blocks, channels) in enumerate(zip(SIZES, BLOCKS, CHANNELS), 1):
        assert stages[f'layer{stage}'].attention_parameters == size * blocks
        assert stages[f'layer{stage}'].attention_operations == size * blocks * channels
    assert cost.total.attention_parameters == 80
    assert stages['stem'].attention_parameters == 0


def test_frozen_stages__are_not_trainable():
    cost = count_cost(build_backbone('18', dict(frozen_stages=1)), (64, 64))
    trainable = {part.name: part.trainable for part in cost.parts}
    assert (trainable['stem'], trainable['layer1']) == (0, 0)
    assert trainable['layer2'] == next(p.parameters for p in cost.parts if p.name == 'layer2') > 0


@pytest.fixture(scope='module')
def detector():
    return count_cost(build_detector('eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py'), (96, 160))


def test_detector__parts_add_up_to_the_total(detector):
    for column in range(1, len(detector.total)):
        assert sum(part[column] for part in detector.parts) == detector.total[column]
    assert [part.name for part in detector.parts if not part.name.startswith('backbone')] == [
        'neck',
        'rpn_head',
        'roi_head.bbox_head',
        'roi_head.mask_head',
    ]


def test_box_head__is_counted_for_a_thousand_proposals(detector):
    from mmdet.registry import MODELS

    from eca_mmdet.apis import load_config

    head = MODELS.build(load_config('eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py').model.roi_head.bbox_head)
    weights = sum(p.numel() for name, p in head.named_parameters() if name.endswith('weight'))
    counted = {part.name: part.operations for part in detector.parts}['roi_head.bbox_head']
    assert counted == 1000 * weights


def test_count_cost__does_not_change_the_model():
    backbone = ECAResNet(depth=18).train()
    count_cost(backbone, (32, 32))
    assert backbone.layer1.training
    assert next(backbone.parameters()).device == torch.device('cpu')


def test_count_cost__is_repeatable():
    backbone = build_backbone('18')
    assert count_cost(backbone, (64, 64)) == count_cost(backbone, (64, 64))
