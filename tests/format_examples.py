"""Random weights under the names of other libraries, spelled out independently of the converter."""

import torch
from reference import official_state_dict

from eca_mmdet import ECAResNet

STEM = {0: 'conv1.0', 1: 'conv1.1', 3: 'conv1.3', 4: 'conv1.4', 6: 'conv1.6', 7: 'bn1'}
PRETRAIN_STEM = {0: '0.conv', 1: '0.bn', 3: '1.conv', 4: '1.bn', 6: '2.conv', 7: '2.bn'}


def backbone_weights(**arguments):
    """A backbone's tensors with random values, and counters that are not zero."""
    with torch.device('meta'):  # without initialisation
        shapes = ECAResNet(**arguments).state_dict()
    return {k: torch.rand(v.shape) if v.dim() else torch.tensor(7) for k, v in shapes.items()}


def moved(name, stem):
    """The name in a network whose deep stem has these names."""
    first, _, rest = name.partition('.')
    if first != 'stem':
        return name
    index, _, rest = rest.partition('.')
    return f'{stem[int(index)]}.{rest}'


def classifier(width, prefix='fc'):
    return {f'{prefix}.weight': torch.randn(1000, width), f'{prefix}.bias': torch.randn(1000)}


def timm(width=2048, attention='se', **arguments):
    weights = backbone_weights(**arguments)
    if not attention:
        weights = {k: v for k, v in weights.items() if '.eca.' not in k}
    names = {k: moved(k, STEM).replace('.eca.', f'.{attention}.') for k in weights}
    return {**{names[k]: v for k, v in weights.items()}, **classifier(width)}


def plain(depth=18, width=512, **arguments):
    return timm(width, attention=None, depth=depth, **arguments)


def mmpretrain(version='d', **arguments):
    """ResNetV1d of MMPretrain, whose first stage has no pool in its downsample, or our backbone in it."""
    weights = backbone_weights(**arguments)
    if version == 'd':
        weights = {k: v for k, v in weights.items() if '.eca.' not in k}
        old = [f'layer1.0.downsample.{i}' for i in (1, 2)]
        new = [f'layer1.0.downsample.{i}' for i in (0, 1)]
        for a, b in zip(old, new):
            weights = {k.replace(a, b): v for k, v in weights.items()}
    stem = {i: f'stem.{part}' for i, part in PRETRAIN_STEM.items()} if version == 'd' else None
    return {
        **{f'backbone.{moved(k, stem) if stem else k}': v for k, v in weights.items()},
        **classifier(2048, 'head.fc'),
    }


def official(**options):
    return official_state_dict(18, **options)


def byob():
    return {'stem.conv1.conv.weight': torch.zeros(1), 'stages.0.0.attn.conv.weight': torch.zeros(1, 1, 3)}


def squeeze():
    return {**plain(), 'layer1.0.se.fc1.weight': torch.zeros(4, 64, 1, 1)}


def detector():
    return {**{f'backbone.{k}': v for k, v in backbone_weights(depth=18).items()}, 'neck.a': torch.zeros(1)}
