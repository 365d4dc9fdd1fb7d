"""Compare our backbones with the networks of other libraries on the same weights; a test runs this script.

It prints a JSON object with an entry per network: the number of parameters, the recognised format, and the
largest errors of the four features and of the updated batch statistics, relative to their largest value.
"""

import json

import torch

import eca_mmdet  # noqa: F401  declares the operators without which torchvision cannot be imported

# isort: split
import timm
import torchvision
from mmengine.registry import MODELS
from mmpretrain.models import ImageClassifier, ResNetV1d  # noqa: F401

from eca_mmdet.backbones import FAMILIES
from eca_mmdet.checkpoints import convert


def randomize(model):
    """Set all norms to random values, so that no term vanishes; timm initialises some with zeros.

    The weight of the last norm of a block stays small, so that values do not grow from block to block.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                torch.nn.init.uniform_(values, low, low + 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            if name.endswith(('bn3', 'conv3_1x1.bn')):
                module.weight.data.mul_(0.1)


def error(ours, theirs):
    """Return the largest error in two lists of tensors, relative to the largest value of each tensor."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, theirs, strict=True))


@torch.no_grad()
def compare(theirs, features, type='ECAResNet', **arguments):
    """Compare a network with one of our backbones that has the same weights.

    Args:
        theirs: The network of the other library.
        features: Function that computes its four features.
        type: The class of our backbone.
        **arguments: Its arguments.

    Returns:
        The results of the comparison, and the state_dict of ``theirs``.
    """
    randomize(theirs)
    before = {key: value.clone() for key, value in theirs.state_dict().items()}
    conversion = convert(before)
    tensors = conversion.state_dict
    if arguments.get('attention') == 'none':
        tensors = {key: value for key, value in tensors.items() if '.eca.' not in key}
    with torch.device('meta'):  # without initialisation
        ours = MODELS.build(dict(type=type, **arguments, norm_eval=False))
    ours.to_empty(device='cpu').load_state_dict(tensors, strict=True)
    names = dict(conversion.renamed)
    classifier = [p for name, p in theirs.named_parameters() if names.get(name, name) not in tensors]
    result = dict(
        parameters=sum(p.numel() for p in theirs.parameters()),
        ours=sum(p.numel() for p in [*ours.parameters(), *classifier]),
        recognised=f'{conversion.source}: {conversion.network}',
    )
    x = torch.randn(3, 3, 96, 96)
    for mode in ('eval', 'train'):
        ours.train(mode == 'train')
        theirs.train(mode == 'train')
        result[mode] = error(ours(x), features(x))
    our_tensors = ours.state_dict()
    statistics, counters = [], []
    for name, value in theirs.state_dict().items():
        name = names.get(name, name)
        if name not in our_tensors:
            continue
        if 'running' in name:
            statistics.append((our_tensors[name], value))
        elif 'batches' in name:
            counters.append((our_tensors[name], value))
    result['statistics'] = error(*zip(*statistics))
    result['counters'] = all(torch.equal(a, b) for a, b in counters)
    return result, before


def compare_timm(name, **config):
    torch.manual_seed(0)
    model = timm.create_model(name)

    def features(x):
        if hasattr(model, 'stages'):  # ByobNet, whose last feature goes through one more convolution
            x = model.stem(x)
            return [x := stage(x) for stage in model.stages]
        return model.forward_intermediates(x, indices=4, intermediates_only=True)[-4:]

    result, before = compare(model, features, **config)
    back = convert(before, target='timm').state_dict
    model.load_state_dict(back, strict=True)
    result['back'] = all(torch.equal(back[key], value) for key, value in before.items())
    return result


def compare_torchvision():
    model = torchvision.models.resnext50_32x4d()

    def features(x):
        x = model.maxpool(model.relu(model.bn1(model.conv1(x))))
        stages = (model.layer1, model.layer2, model.layer3, model.layer4)
        return [x := stage(x) for stage in stages]

    return compare(model, features, depth=50, groups=32, attention='none')[0]


def compare_mmpretrain():
    backbone = dict(type='ResNetV1d', depth=50, out_indices=(0, 1, 2, 3))
    head = dict(type='LinearClsHead', num_classes=1000, in_channels=2048)
    model = ImageClassifier(backbone, neck=dict(type='GlobalAveragePooling'), head=head)
    return compare(model, model.backbone, depth=50, deep_stem=True, avg_down=True, attention='none')[0]


results = {
    name: compare_timm(name, type=family.name, **arguments)
    for family in FAMILIES
    for name, arguments in family.variants.items()
    if timm.is_model(name)
}
results['seresnet50'] = compare_timm('seresnet50', depth=50, attention=dict(type='SELayer', bias=True))
results['torchvision'] = compare_torchvision()
results['mmpretrain'] = compare_mmpretrain()
print(json.dumps(results))
