"""Build the same backbone twice, with the fused and the plain forward pass, and compare the two."""

import copy

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from eca_mmdet import ECAResNet

X = torch.randn(2, 3, 45, 65, generator=torch.Generator().manual_seed(1))  # odd sizes at every stage
TWO_STAGES = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), eca_kernel_sizes=3)
SMALL = dict(stage_blocks=(1, 1), base_channels=8, **TWO_STAGES)


def randomized(backbone):
    """Set all norms to random values in place, so that no term of the computation vanishes."""
    for module in backbone.modules():
        if isinstance(module, _BatchNorm):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.uniform_(module.bias, -0.5, 0.5)
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 1.5)
    return backbone


def plain_copy(backbone):
    """Copy a backbone and turn the fused forward pass of the copy off."""
    plain = copy.deepcopy(backbone)
    plain.fast = False
    return plain


def pair(depth, mode=True, dtype=torch.float32, **options):
    """Build a fused and a plain backbone with the same weights; ``mode`` is the training mode."""
    if depth == 50:
        options = dict(stage_blocks=(1, 2, 1, 1), **options)
    fused = randomized(ECAResNet(depth, **options)).to(dtype).train(mode)
    return fused, plain_copy(fused)


def small_pair(depth=50, mode=False, dtype=torch.float64, **options):
    """Build a small fused and a small plain backbone with the same weights."""
    fused = randomized(ECAResNet(depth, **{**SMALL, **options})).to(dtype).train(mode)
    return fused, plain_copy(fused)


def image(dtype=torch.float64):
    """Draw a small batch of images."""
    return torch.randn(2, 3, 33, 40, dtype=dtype)


def record_fused_blocks(monkeypatch):
    """Return a list that receives an entry for each block that the fused pass computes from now on."""
    blocks, fused_block = [], ECAResNet._fused_block

    def record(self, parts, x):
        blocks.append(parts)
        return fused_block(self, parts, x)

    monkeypatch.setattr(ECAResNet, '_fused_block', record)
    return blocks


def step(backbone, x, seed=0):
    """Compute the features, and the gradients by name of a randomly weighted sum of the features."""
    backbone.zero_grad()
    outs = backbone(x)
    generator = torch.Generator().manual_seed(seed)
    grads = [torch.randn(out.shape, generator=generator).to(out) for out in outs]
    differentiable = [(out, grad) for out, grad in zip(outs, grads) if out.requires_grad]
    torch.autograd.backward(*zip(*differentiable))
    return outs, {n: p.grad.clone() for n, p in backbone.named_parameters() if p.grad is not None}


def assert_near(ours, theirs, tolerance):
    """Check the largest error of each tensor, relative to its largest value."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        assert (a.double() - b.double()).abs().max() <= tolerance * b.double().abs().max()


def assert_same(fused, plain, x=X, tolerance=1e-10):
    """Check that features and gradients of two backbones are equal."""
    (outs, grads), (expected, expected_grads) = step(fused, x), step(plain, x)
    assert_near(outs, expected, tolerance)
    assert grads.keys() == expected_grads.keys()
    assert_near(grads.values(), expected_grads.values(), tolerance)


def assert_same_features(fused, plain, x=X, tolerance=2e-5):
    """Check that the features of two backbones are equal in inference."""
    with torch.no_grad():
        assert_near(fused(x), plain(x), tolerance)
