"""The same backbone twice, fused and plain, and how to compare the two."""

import copy

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mmdet import ECAResNet

X = torch.randn(2, 3, 45, 65, generator=torch.Generator().manual_seed(1))  # odd at every stage
SHALLOW = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), eca_kernel_sizes=3)


def randomized(backbone):
    """Give every parameter and statistic a random value, so that no term vanishes."""
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    return backbone


def pair(depth, mode=True, dtype=torch.float32, **options):
    """The same backbone twice: fused and plain."""
    if depth == 50:
        options = dict(stage_blocks=(1, 2, 1, 1), **options)
    fused = randomized(ECAResNet(depth, **options)).to(dtype).train(mode)
    plain = copy.deepcopy(fused)
    plain.fast = False
    return fused, plain


def step(backbone, x, seed=0):
    """Features and gradients by name of a loss that weighs every value differently."""
    backbone.zero_grad()
    outs = backbone(x)
    generator = torch.Generator().manual_seed(seed)
    grads = [torch.randn(o.shape, generator=generator).to(o) for o in outs]
    asked = [(o, g) for o, g in zip(outs, grads) if o.requires_grad]
    torch.autograd.backward(*zip(*asked))
    return outs, {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}


def assert_near(ours, theirs, tolerance):
    """Largest error relative to the largest value, tensor by tensor."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert (a.double() - b.double()).abs().max() <= tolerance * b.double().abs().max()


def assert_same(fused, plain, x=X, tolerance=1e-10):
    (outs, grads), (expected, expected_grads) = step(fused, x), step(plain, x)
    assert_near(outs, expected, tolerance)
    assert grads.keys() == expected_grads.keys()
    assert_near(grads.values(), expected_grads.values(), tolerance)


def assert_same_features(fused, plain, x=X, tolerance=2e-5):
    with torch.no_grad():
        assert_near(fused(x), plain(x), tolerance)
