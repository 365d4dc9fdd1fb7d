"""Holds the Triton kernels beside the torch passes; prints JSON. Run by tests in a process of its own.

``values`` needs TRITON_INTERPRET=1, where Triton computes on the CPU; ``compile`` translates the
kernels for two kinds of GPU, for which none is needed.
"""

import itertools
import json
import sys

import torch
from torch import Tensor

from eca_mmdet import ECAResNet
from eca_mmdet.fused import tail_torch, tail_triton

LAYOUTS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}
TYPES = dict(fp64=torch.float64, fp32=torch.float32, bf16=torch.bfloat16)
SIZES = dict(
    contiguous=((2, 3, 5, 7), (1, 5, 33, 40)),  # with one tile for a channel, and with two
    channels_last=((2, 8, 5, 7), (1, 130, 12, 11), (3, 5, 1, 1)),  # and with two for the channels
)


def error(ours: Tensor, theirs: Tensor) -> float:
    """Relative error; 0 for nothing beside nothing."""
    difference = (ours.double() - theirs.double()).norm()
    return (difference / theirs.double().norm().clamp_min(1e-300)).item()


def passes(dtype: torch.dtype, layout: torch.memory_format, size: tuple) -> float:
    """The largest error of the three passes on random values."""
    draw = lambda shape: torch.randn(shape, dtype=dtype)  # noqa: E731
    z, identity, grad = (draw(size).to(memory_format=layout) for _ in range(3))
    gate, shift = (draw((*size[:2], 1, 1)).sigmoid() for _ in range(2))
    errors = []
    for kept, gates in ((identity, None), (z, gate)):
        out = tail_torch.scale_add_relu(z, gate, identity, False)
        errors.append(error(tail_triton.scale_add_relu(z, gate, identity, False), out))
        masked, sums, buffer = tail_torch.mask_and_sum(grad, out, kept, gates)
        ours, our_sums, none = tail_triton.mask_and_sum(grad, out, kept, gates)
        assert torch.equal(ours, masked)
        assert none is None
        assert our_sums.dtype == sums.dtype
        errors.append(error(our_sums, sums))
        shifted = tail_torch.scale_shift(masked, gate, shift, buffer)
        errors.append(error(tail_triton.scale_shift(masked, gate, shift, None), shifted))
    overwritten = tail_triton.scale_add_relu(z, gate, identity, True)
    assert overwritten.data_ptr() == z.data_ptr()
    return max(*errors, error(overwritten, out))


def backbone(layout: torch.memory_format) -> float:
    """The largest error of features and gradients of a backbone in float64."""
    torch.manual_seed(0)
    options = dict(depth=18, base_channels=8, stage_blocks=(2, 1, 1, 1), norm_eval=True)
    ours = ECAResNet(**options, triton=True, channels_last=layout == torch.channels_last).double()
    plain = ECAResNet(**options, fast=False).double()
    plain.load_state_dict(ours.state_dict())
    x, errors = torch.randn(1, 3, 40, 56, dtype=torch.float64), []
    found = []
    for module in (ours.train(), plain.train()):
        outs = module(x)
        sum(out.square().mean() for out in outs).backward()
        found.append((outs, [p.grad for p in module.parameters()]))
    for ours_, theirs in zip(*found):
        errors += [error(a, b) for a, b in zip(ours_, theirs)]
    return max(errors)


def not_a_number() -> bool:
    """Whether NaN gets through the ReLU, as it does in torch."""
    z = torch.tensor([float('nan'), -1.0, 2.0]).view(1, 1, 1, 3)
    out = tail_triton.scale_add_relu(z, torch.ones(1, 1, 1, 1), torch.zeros_like(z), False)
    return torch.equal(out.isnan().flatten(), torch.tensor([True, False, False]))


def values() -> dict:
    """Errors against the torch passes, in Triton's interpreter."""
    cases = [(t, m, s) for t, m in itertools.product(TYPES, LAYOUTS) for s in SIZES[m]]
    errors = {f'{t} {m} {s}': passes(TYPES[t], LAYOUTS[m], s) for t, m, s in cases}
    whole = {f'backbone {name}': backbone(layout) for name, layout in LAYOUTS.items()}
    return dict(errors=errors, whole=whole, nan=not_a_number())


def compiled() -> dict:
    """Bytes of machine code of each kernel, by compute capability, type and tile."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    sizes = {}
    tiles = dict(WIDE=1, LONG=1024), dict(WIDE=128, LONG=16)
    names = ('_scale_add_relu', '_scale_shift', '_mask_and_sum')
    for arch, kind, tile, name, gated in itertools.product((80, 90), TYPES, tiles, names, (False, True)):
        kernel, wide = getattr(tail_triton, name), '*fp64' if kind == 'fp64' else '*fp32'
        constants = dict(tile, GATED=gated, STEPS=8)
        if name == '_mask_and_sum' and not gated:
            constants['gate'] = None
        constants = {key: constants[key] for key in kernel.arg_names if key in constants}
        small = dict.fromkeys(('channels', 'positions', 'of_channel', 'of_position'), 'i32')
        small.update(dict.fromkeys(('gate', 'shift', 'sums'), wide), **dict.fromkeys(constants, 'constexpr'))
        source = ASTSource(
            fn=kernel,
            signature={key: small.get(key, f'*{kind}') for key in kernel.arg_names},
            constexprs={(kernel.arg_names.index(key),): value for key, value in constants.items()},
        )
        code = triton.compile(source, target=GPUTarget('cuda', arch, 32)).asm['cubin']
        sizes[f'sm_{arch} {kind} {tile} {name} {gated}'] = len(code)
    return sizes


if __name__ == '__main__':
    print(json.dumps(dict(values=values, compile=compiled)[sys.argv[1]]()))
