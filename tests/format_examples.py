"""Random weights in the formats of other libraries, written independently of the converter."""

import torch
from reference import official_state_dict

from eca_mmdet import ECAResNet
from eca_mmdet.backbones import ECAByobNet

TIMM_STEM = {0: 'conv1.0', 1: 'conv1.1', 3: 'conv1.3', 4: 'conv1.4', 6: 'conv1.6', 7: 'bn1'}
MMPRETRAIN_STEM = {
    0: 'stem.0.conv',
    1: 'stem.0.bn',
    3: 'stem.1.conv',
    4: 'stem.1.bn',
    6: 'stem.2.conv',
    7: 'stem.2.bn',
}


def backbone_weights(**arguments):
    """Draw random tensors for a backbone, with batch counters that are not zero."""
    with torch.device('meta'):  # skips the initialisation
        shapes = ECAResNet(**arguments).state_dict()
    return {k: torch.rand(v.shape) if v.dim() else torch.tensor(7) for k, v in shapes.items()}


def rename_stem(name, stem):
    """Rename the entry of a deep stem from mmdet's index to the name in ``stem``."""
    first, _, rest = name.partition('.')
    if first != 'stem':
        return name
    index, _, rest = rest.partition('.')
    return f'{stem[int(index)]}.{rest}'


def classifier(width, prefix='fc'):
    return {f'{prefix}.weight': torch.randn(1000, width), f'{prefix}.bias': torch.randn(1000)}


def timm(width=2048, **arguments):
    """Build a classifier of timm; ``width`` is the number of channels of its last stage."""
    weights = backbone_weights(**arguments)
    names = {k: rename_stem(k, TIMM_STEM).replace('.eca.', '.se.') for k in weights}
    return {**{names[k]: v for k, v in weights.items()}, **classifier(width)}


def plain(depth=18, width=512, **arguments):
    """Build a classifier of torchvision, which has no attention."""
    return timm(width, attention='none', depth=depth, **arguments)


def mmpretrain(version='d', **arguments):
    """Build a classifier of MMPretrain with a ResNetV1d (version ``d``), or with ``ECAResNet``.

    The downsample of ResNetV1d has no pool in the first stage.
    """
    weights = backbone_weights(**arguments)
    if version == 'd':
        weights = {k: v for k, v in weights.items() if '.eca.' not in k}
        for old, new in ((1, 0), (2, 1)):
            old_name, new_name = (f'layer1.0.downsample.{i}' for i in (old, new))
            weights = {k.replace(old_name, new_name): v for k, v in weights.items()}
        weights = {rename_stem(k, MMPRETRAIN_STEM): v for k, v in weights.items()}
    backbone = {f'backbone.{k}': v for k, v in weights.items()}
    return {**backbone, **classifier(2048, 'head.fc')}


def official(**options):
    return official_state_dict(18, **options)


BYOB_LAYERS = {
    'conv1': 'conv1_1x1.conv', 'bn1': 'conv1_1x1.bn', 'conv2': 'conv2_kxk.conv', 'bn2': 'conv2_kxk.bn',
    'conv3': 'conv3_1x1.conv', 'bn3': 'conv3_1x1.bn', 'downsample.0': 'shortcut.conv',
    'downsample.1': 'shortcut.bn', 'eca_mid': 'attn',
}  # fmt: skip
BYOB_STEM = {0: 'conv1.conv', 1: 'conv1.bn', 3: 'conv2.conv', 4: 'conv2.bn', 6: 'conv3.conv', 7: 'conv3.bn'}


def byob(variant='eca_resnet33ts'):
    """Random weights of timm's ByobNet with its classifier."""
    with torch.device('meta'):
        shapes = ECAByobNet(variant).state_dict()
    weights = {}
    for name, value in shapes.items():
        first, index, rest = name.split('.', 2)
        if first == 'stem':
            name = f'stem.{BYOB_STEM[int(index)]}.{rest}'
        else:
            layer, tensor = next((k, rest[len(k) :]) for k in BYOB_LAYERS if rest.startswith(f'{k}.'))
            name = f'stages.{int(first[-1]) - 1}.{index}.{BYOB_LAYERS[layer]}{tensor}'
        weights[name] = torch.rand(value.shape) if value.dim() else torch.tensor(7)
    if variant == 'eca_resnet33ts':
        weights['final_conv.conv.weight'] = torch.rand(1280, 1536, 1, 1)
        for name in ('weight', 'bias', 'running_mean', 'running_var'):
            weights[f'final_conv.bn.{name}'] = torch.rand(1280)
        weights['final_conv.bn.num_batches_tracked'] = torch.tensor(7)
        return {**weights, **classifier(1280, 'head.fc')}
    return {**weights, **classifier(2048, 'head.fc')}


def squeeze():
    """Build a ResNet with an SE layer."""
    return {**plain(), 'layer1.0.se.fc1.weight': torch.zeros(4, 64, 1, 1)}


def detector():
    """Build a detector of mmdet."""
    backbone = {f'backbone.{k}': v for k, v in backbone_weights(depth=18).items()}
    return {**backbone, 'neck.a': torch.zeros(1)}
