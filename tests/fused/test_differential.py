"""Random networks, edits, weights, modes and inputs: the fused pass computes what the plain one does."""

import copy
from functools import lru_cache

import torch
from hypothesis import given
from hypothesis import strategies as st
from pairs import randomized
from torch import nn

from eca_mmdet import ECAResNet

TINY = dict(num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1), base_channels=4)
CONTEXT = dict(cfg=dict(type='ContextBlock', ratio=0.5), position='after_conv2')
NETWORKS = (
    dict(depth=18, stage_blocks=(2, 1)),
    dict(depth=18, stage_blocks=(1, 1), deep_stem=True, stem_channels=8),
    dict(depth=50, stage_blocks=(2, 1)),
    dict(depth=50, stage_blocks=(1, 2), deep_stem=True, avg_down=True),
    dict(depth=50, stage_blocks=(1, 1), style='caffe', channels_last=False),
    dict(depth=50, stage_blocks=(1, 1), channels_last=True),
    dict(depth=50, stage_blocks=(1, 1), attention='none'),
    dict(depth=50, stage_blocks=(1, 1), attention='se'),
    dict(depth=50, stage_blocks=(1, 1), groups=2, base_width=64),
    dict(depth=50, stage_blocks=(1, 1), plugins=[CONTEXT]),
    dict(depth=50, stage_blocks=(2, 1), with_cp=True),
)


@lru_cache(None)
def network(index):
    """A tiny network in float64, to be copied."""
    torch.manual_seed(index)
    kernels = {} if NETWORKS[index].get('attention') else dict(eca_kernel_sizes=3)
    return randomized(ECAResNet(**TINY, **kernels, **NETWORKS[index])).double()


class Doubling(nn.Conv2d):
    """A convolution of another class."""

    def forward(self, x):
        return 2 * super().forward(x)


def _replace(model, old, new):
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if type(child) is old:
                setattr(parent, name, new(child))
                return


def _patch(model):
    conv = model.layer2[0].conv1
    conv.forward = lambda x: 3 * type(conv).forward(conv, x)


def _to_doubling(conv):
    conv.__class__ = Doubling
    return conv


MODULE_EDITS = {
    'none': lambda m: None,
    'leaky relu': lambda m: _replace(m.layer1, nn.ReLU, lambda _: nn.LeakyReLU(0.2)),
    'silu in the stem': lambda m: _replace(m, nn.ReLU, lambda _: nn.SiLU()),
    'another convolution': lambda m: _replace(m.layer1[0], nn.Conv2d, _to_doubling),
    'no norm': lambda m: setattr(m.layer2[0], 'bn2', nn.Identity()),
    'instance norm': lambda m: setattr(
        m.layer1[0], 'bn1', nn.InstanceNorm2d(m.layer1[0].conv1.out_channels).double()
    ),
    'norm without statistics': lambda m: setattr(
        m.layer1[0], 'bn1', nn.BatchNorm2d(m.layer1[0].conv1.out_channels, track_running_stats=False).double()
    ),
    'norm without gamma': lambda m: setattr(
        m.layer1[0], 'bn1', nn.BatchNorm2d(m.layer1[0].conv1.out_channels, affine=False).double()
    ),
    'patched': _patch,
    'hook': lambda m: m.layer2[0].bn1.register_forward_hook(lambda m, i, o: 0.5 * o),
    'hook to float32': lambda m: m.layer1.register_forward_hook(lambda m, i, o: o.float()),
    'hook to a parameter': lambda m: m.layer1.register_forward_hook(lambda m, i, o: nn.Parameter(o.detach())),
    'hook to no image': lambda m: m.layer1[-1].register_forward_hook(lambda m, i, o: o[:0]),
    'hook to one image': lambda m: m.layer1.register_forward_hook(lambda m, i, o: o[0]),
    'pre-hook': lambda m: m.layer1.register_forward_pre_hook(lambda m, i: (i[0] + 1,)),
    'hook on the image pool': lambda m: m.maxpool.register_forward_hook(lambda m, i, o: o.abs()),
    'average pool': lambda m: setattr(m, 'maxpool', nn.AvgPool2d(3, 2, 1)),
    'bias': lambda m: setattr(
        m.layer1[0].conv2, 'bias', nn.Parameter(torch.ones(m.layer1[0].conv2.out_channels).double())
    ),
    'reflecting': lambda m: (
        setattr(m.layer2[0].conv2, 'padding_mode', 'reflect')
        or setattr(m.layer2[0].conv2, '_reversed_padding_repeated_twice', [1, 1, 1, 1])
    ),
    'one training norm': lambda m: m.layer2[0].bn1.train(),
    'more epsilon': lambda m: setattr(m.layer2[0].bn1, 'eps', 0.5),
    'dilation': lambda m: (
        setattr(m.layer2[0].conv2, 'dilation', (2, 2)) or setattr(m.layer2[0].conv2, 'padding', (2, 2))
    ),
    'float32 block': lambda m: m.layer2[0].float(),
    'float32 norm': lambda m: m.layer2[0].bn2.float(),
}


@torch.no_grad()
def _scale(model):
    for parameter in model.parameters():
        parameter.mul_(1.5)


def _data(model):
    for parameter in model.parameters():
        parameter.data.add_(0.1)


def _new_data(model):
    for parameter in model.parameters():
        parameter.data = parameter.data * 0.7


def _adamw(model):
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(model.parameters(), 0.1, fused=True).step()
    model.zero_grad()


def _statistics(model):
    for name, buffer in model.named_buffers():
        if 'running' in name:
            buffer.mul_(1.3)


def _zeros(model):
    for norm in model.modules():
        if isinstance(norm, nn.BatchNorm2d) and norm.affine:
            nn.init.zeros_(norm.weight)


def _freeze(model):
    for i, parameter in enumerate(model.parameters()):
        parameter.requires_grad_(i % 3 == 0)


WEIGHT_EDITS = (lambda m: None, _scale, _data, _new_data, _adamw, _statistics, _zeros, _freeze)
MODES = ('eval', 'train', 'frozen statistics', 'frozen stage', 'no_grad', 'inference_mode')
INPUTS = {
    'plain': lambda x: x,
    'sliced': lambda x: x[:, :, ::2, 1:],
    'transposed': lambda x: x.transpose(2, 3),
    'channels_last': lambda x: x.contiguous(memory_format=torch.channels_last),
    'expanded': lambda x: x[:1].expand(3, -1, -1, -1),
    'asks gradients': lambda x: x.clone().requires_grad_(),
    'float32': lambda x: x.float(),
    'integers': lambda x: x.long(),
    'empty': lambda x: x[:0],
    'one image without batch': lambda x: x[0],
    'two channels': lambda x: x[:, :2],
    'parameter': lambda x: nn.Parameter(x.clone()),
}


def _set_mode(model, mode):
    if mode in ('frozen statistics', 'frozen stage'):
        model.norm_eval = True
        model.frozen_stages = 1 if mode == 'frozen stage' else -1
    else:
        model.norm_eval, model.frozen_stages = False, -1
    model.train(mode in ('train', 'frozen statistics', 'frozen stage'))


def outcome(model, x, mode):
    """Features, gradients and statistics afterwards, or the type of the error."""
    x = x.detach().requires_grad_(x.requires_grad)
    try:
        with torch.inference_mode(mode == 'inference_mode'), torch.set_grad_enabled('_' not in mode):
            outs = model(x)
            if any(out.requires_grad for out in outs):
                sum((out * torch.linspace(-1, 1, out.numel()).view_as(out)).sum() for out in outs).backward()
    except Exception as error:
        return type(error), {}
    found = {f'out {i}': out for i, out in enumerate(outs)}
    found.update({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    found.update({name: buffer.clone() for name, buffer in model.named_buffers()})
    if x.grad is not None:
        found['x'] = x.grad
    return None, found


@given(
    index=st.integers(0, len(NETWORKS) - 1),
    module_edits=st.lists(st.sampled_from(sorted(MODULE_EDITS)), max_size=2, unique=True),
    weight_edit=st.sampled_from(WEIGHT_EDITS),
    modes=st.lists(st.sampled_from(MODES), min_size=1, max_size=2),
    kind=st.sampled_from(sorted(INPUTS)),
    size=st.tuples(st.integers(1, 3), st.integers(9, 40), st.integers(9, 40)),
)
def test_fused_pass__equals_the_plain_pass(index, module_edits, weight_edit, modes, kind, size):
    fused, plain = copy.deepcopy(network(index)), copy.deepcopy(network(index))
    plain.fast = False
    generator = torch.Generator().manual_seed(sum(size))
    image = torch.randn(size[0], 3, *size[1:], dtype=torch.float64, generator=generator)
    x = INPUTS[kind](image)
    for turn, mode in enumerate(modes):  # twice: what the first call leaves behind must not matter
        found = []
        for model in (fused, plain):
            if turn == len(modes) - 1:
                weight_edit(model)
            _set_mode(model, mode)
            if turn == 0:
                for name in module_edits:
                    MODULE_EDITS[name](model)
            model.zero_grad()
            found.append(outcome(model, x, mode))
        (error, ours), (expected_error, theirs) = found
        assert error == expected_error
        assert ours.keys() == theirs.keys()
        for name, tensor in theirs.items():
            scale = tensor.abs().max().clamp(min=1) if tensor.numel() else 1
            tolerance = 1e-10 if tensor.dtype == torch.float64 else 1e-4
            torch.testing.assert_close(ours[name] / scale, tensor / scale, rtol=0, atol=tolerance, msg=name)
