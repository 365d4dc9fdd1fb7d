"""Random weights under the names of other libraries, spelled out independently of the converter."""

import torch
from reference import official_state_dict

from eca_mmdet import ECAResNet
from eca_mmdet.backbones import ECAByobNet

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


def timm(width=2048, **arguments):
    weights = backbone_weights(**arguments)
    names = {k: moved(k, STEM).replace('.eca.', '.se.') for k in weights}
    return {**{names[k]: v for k, v in weights.items()}, **classifier(width)}


def plain(depth=18, width=512, **arguments):
    return timm(width, attention='none', depth=depth, **arguments)


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
    return {**plain(), 'layer1.0.se.fc1.weight': torch.zeros(4, 64, 1, 1)}


def detector():
    return {**{f'backbone.{k}': v for k, v in backbone_weights(depth=18).items()}, 'neck.a': torch.zeros(1)}
