"""Compares ECAResNet with timm's ECA-ResNets on the same weights; run by a test in its own process.

Prints one JSON object: per variant its parameters with classifier, and the largest error of the
four features and the updated batch statistics, relative to the largest value of each.
"""

import json

import torch
import torchvision_operators  # noqa: F401  before timm, which imports torchvision

# isort: split
import timm

from eca_mmdet import ECAResNet
from eca_mmdet.backbones import VARIANTS
from eca_mmdet.checkpoints import convert


def randomize(model):
    """Give every norm random values (timm zeroes the last one of a block): no term vanishes."""
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values, low in ((module.weight, 0.5), (module.bias, -0.5), (module.running_mean, -0.5)):
                torch.nn.init.uniform_(values, low, low + 1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)


def error(ours, theirs):
    """Largest difference of two lists of tensors, relative to the largest value of each tensor."""
    return max(((a - b).abs().max() / b.abs().max()).item() for a, b in zip(ours, theirs, strict=True))


@torch.no_grad()
def compare(name):
    torch.manual_seed(0)
    theirs = timm.create_model(name)
    randomize(theirs)
    conversion = convert(theirs.state_dict())
    with torch.device('meta'):  # without initialisation
        ours = ECAResNet(**VARIANTS[name], norm_eval=False)
    ours.to_empty(device='cpu').load_state_dict(conversion.state_dict, strict=True)
    x = torch.randn(2, 3, 64, 64)
    result = dict(
        parameters=sum(p.numel() for p in theirs.parameters()),
        ours=sum(p.numel() for p in ours.parameters()) + sum(p.numel() for p in theirs.fc.parameters()),
        recognised=conversion.network,
    )
    for mode in ('eval', 'train'):
        ours.train(mode == 'train')
        theirs.train(mode == 'train')
        result[mode] = error(
            ours(x), theirs.forward_intermediates(x, indices=4, intermediates_only=True)[-4:]
        )
    after = convert(theirs.state_dict()).state_dict
    own = ours.state_dict()
    result['statistics'] = error(*zip(*((own[key], after[key]) for key in after if 'running' in key)))
    result['counters'] = all(torch.equal(own[key], after[key]) for key in after if 'num_batches' in key)
    return result


print(json.dumps({name: compare(name) for name in VARIANTS}))
