"""Checkpoints of another network that happen to contain every tensor of the model."""

import pytest
import torch
from mmdet.models import ResNet
from torch import nn

from eca_mmdet import ECAMobileNetV2, ECAResNet
from eca_mmdet.checkpoints import LoadedWeightsError
from eca_mmdet.checkpoints.effect import predict
from eca_mmdet.checkpoints.starting_point import require_backbone, require_start, require_whole


class Detector(nn.Module):
    def __init__(self, backbone):
        super().__init__()
        self.backbone, self.head = backbone, nn.Linear(2, 2)


def ways(model, weights):
    """Return a function without arguments for each way in which a run may use a checkpoint."""
    detector = Detector(model)
    inside = {f'backbone.{name}': value for name, value in weights.items()}
    inside.update({f'head.{name}': value for name, value in detector.head.state_dict().items()})
    alone, whole = predict(model, weights), predict(detector, inside)
    return [
        lambda: require_backbone(alone, 'x.pth', is_backbone=True),
        lambda: require_start(whole, 'x.pth'),
        lambda: require_whole(whole, 'x.pth'),
    ]


OTHERS = dict(
    deeper=(
        lambda: ECAResNet(18, eca_kernel_sizes='3333'),
        lambda: ECAResNet(34, eca_kernel_sizes='3333'),
        'layer1.2.conv1.weight',
    ),
    attention=(lambda: ResNet(50), lambda: ECAResNet(50), 'layer1.0.eca.conv.weight'),
    plain=(lambda: ResNet(50), lambda: ResNet(101), 'layer3.6.conv1.weight'),
)


@pytest.mark.parametrize('way', range(3))
@pytest.mark.parametrize('case', OTHERS)
def test_extra_tensors_in_the_stages__mean_another_network(case, way):
    """The checkpoint has every tensor of the model, so mmdet would silently ignore the others."""
    model, other, first = OTHERS[case]
    check = ways(model(), other().state_dict())[way]
    with pytest.raises(LoadedWeightsError, match=rf'x.pth is of another network: .*{first}'):
        check()


@pytest.mark.parametrize(
    ('model', 'file'),
    [
        (lambda: ECAResNet(18, num_stages=3, out_indices=(2,), strides=(1, 2, 2), dilations=(1, 1, 1)),
         lambda: ECAResNet(18).state_dict()),
        (lambda: ECAResNet(18), lambda: {**ECAResNet(18).state_dict(), 'fc.weight': torch.ones(2, 2)}),
        (lambda: ECAResNet(18), lambda: {**ECAResNet(18).state_dict(),
                                         'teacher.layer1.7.conv1.weight': torch.ones(2)}),
        (lambda: ECAMobileNetV2(), lambda: ECAMobileNetV2().state_dict()),
    ],
    ids=['without a stage', 'classifier', 'teacher', 'mobilenet'],
)  # fmt: skip
def test_extra_tensors_outside_the_stages__are_allowed(model, file):
    for check in ways(model(), file()):
        check()


class Head(nn.Module):
    def __init__(self, layers):
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(2, 2, 1) for _ in range(layers))


def test_longer_head__is_allowed_for_training_but_not_for_evaluation():
    effect = predict(Head(2), Head(3).state_dict())
    require_start(effect, 'x.pth')
    with pytest.raises(LoadedWeightsError, match=r"is of another network: .*\['convs.2.weight'"):
        require_whole(effect, 'x.pth')
