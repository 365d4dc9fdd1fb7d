"""Compare the Triton kernels with their torch implementation, or compile them; a test runs this script.

``tail_kernels.py values`` prints errors as JSON. It needs TRITON_INTERPRET=1, with which Triton computes on
the CPU. ``tail_kernels.py compile`` prints the code sizes for two GPU architectures; it needs no GPU.
"""

import itertools
import json
import sys

import torch
from torch import Tensor

from eca_mmdet import ECAResNet
from eca_mmdet.fused import tail_torch, tail_triton

MEMORY_FORMATS = {'contiguous': torch.contiguous_format, 'channels_last': torch.channels_last}
DTYPES = dict(fp64=torch.float64, fp32=torch.float32, bf16=torch.bfloat16)
SIZES = dict(
    contiguous=((2, 3, 5, 7), (1, 5, 33, 40)),  # one and two tiles per channel
    channels_last=((2, 8, 5, 7), (1, 130, 12, 11), (3, 5, 1, 1)),  # the second needs two tiles of channels
)


def error(ours: Tensor, theirs: Tensor) -> float:
    """Return the relative error; 0 if both are zero."""
    difference = (ours.double() - theirs.double()).norm()
    return (difference / theirs.double().norm().clamp_min(1e-300)).item()


def compare_kernels(dtype: torch.dtype, memory_format: torch.memory_format, size: tuple) -> float:
    """Return the largest error of the three kernels on random values."""
    z, identity, grad = (torch.randn(size, dtype=dtype).to(memory_format=memory_format) for _ in range(3))
    gate, shift = (torch.randn(*size[:2], 1, 1, dtype=dtype).sigmoid() for _ in range(2))
    errors = []
    for saved, saved_gate in ((identity, None), (z, gate)):
        out = tail_torch.scale_add_relu(z, gate, identity, False)
        errors.append(error(tail_triton.scale_add_relu(z, gate, identity, False), out))
        masked, sums, buffer = tail_torch.mask_and_sum(grad, out, saved, saved_gate)
        our_masked, our_sums, our_buffer = tail_triton.mask_and_sum(grad, out, saved, saved_gate)
        assert torch.equal(our_masked, masked)
        assert our_buffer is None
        assert our_sums.dtype == sums.dtype
        errors.append(error(our_sums, sums))
        shifted = tail_torch.scale_shift(masked, gate, shift, buffer)
        errors.append(error(tail_triton.scale_shift(masked, gate, shift, None), shifted))
    overwritten = tail_triton.scale_add_relu(z, gate, identity, True)
    assert overwritten.data_ptr() == z.data_ptr()
    return max(*errors, error(overwritten, out))


def compare_backbones(memory_format: torch.memory_format) -> float:
    """Return the largest error of features and gradients of a backbone in float64."""
    torch.manual_seed(0)
    options = dict(depth=18, base_channels=8, stage_blocks=(2, 1, 1, 1), norm_eval=True)
    ours = ECAResNet(**options, triton=True, channels_last=memory_format == torch.channels_last).double()
    plain = ECAResNet(**options, fast=False).double()
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(1, 3, 40, 56, dtype=torch.float64)
    results = []
    for backbone in (ours.train(), plain.train()):
        outs = backbone(x)
        sum(out.square().mean() for out in outs).backward()
        results.append([*outs, *(parameter.grad for parameter in backbone.parameters())])
    return max(error(a, b) for a, b in zip(*results))


def propagates_nan() -> bool:
    """Whether the ReLU of the kernel propagates NaN, as torch does."""
    z = torch.tensor([float('nan'), -1.0, 2.0]).view(1, 1, 1, 3)
    out = tail_triton.scale_add_relu(z, torch.ones(1, 1, 1, 1), torch.zeros_like(z), False)
    return torch.equal(out.isnan().flatten(), torch.tensor([True, False, False]))


def compare_values() -> dict:
    """Compare with the torch implementation in Triton's interpreter."""
    errors = {}
    for dtype, memory_format in itertools.product(DTYPES, MEMORY_FORMATS):
        for size in SIZES[memory_format]:
            name = f'{dtype} {memory_format} {size}'
            errors[name] = compare_kernels(DTYPES[dtype], MEMORY_FORMATS[memory_format], size)
    backbones = {name: compare_backbones(value) for name, value in MEMORY_FORMATS.items()}
    return dict(kernels=errors, backbones=backbones, propagates_nan=propagates_nan())


def compile_kernels() -> dict:
    """Return the bytes of machine code of each kernel, by compute capability, dtype and tile."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    sizes = {}
    tiles = dict(TILE_CHANNELS=1, TILE_POSITIONS=1024), dict(TILE_CHANNELS=128, TILE_POSITIONS=16)
    names = ('_scale_add_relu', '_scale_shift', '_mask_and_sum')
    targets = (
        (80, 'fp64'),
        (80, 'fp32'),
        (80, 'bf16'),
        (90, 'bf16'),
    )  # compute capability 9 has bf16 arithmetic
    for (arch, dtype), tile, name, has_gate in itertools.product(targets, tiles, names, (False, True)):
        kernel = getattr(tail_triton, name)
        constants = dict(tile, HAS_GATE=has_gate, STEPS=8)
        if name == '_mask_and_sum' and not has_gate:
            constants['gate'] = None
        constants = {key: constants[key] for key in kernel.arg_names if key in constants}
        types = dict.fromkeys(kernel.arg_names, f'*{dtype}')
        types.update(dict.fromkeys(('channels', 'positions', 'channel_stride', 'position_stride'), 'i32'))
        types.update(dict.fromkeys(('gate', 'shift', 'sums'), '*fp64' if dtype == 'fp64' else '*fp32'))
        types.update(dict.fromkeys(constants, 'constexpr'))
        source = ASTSource(
            fn=kernel,
            signature={key: types[key] for key in kernel.arg_names},
            constexprs={(kernel.arg_names.index(key),): value for key, value in constants.items()},
        )
        code = triton.compile(source, target=GPUTarget('cuda', arch, 32)).asm['cubin']
        sizes[f'sm_{arch} {dtype} {tile} {name} {has_gate}'] = len(code)
    return sizes


if __name__ == '__main__':
    commands = dict(values=compare_values, compile=compile_kernels)
    print(json.dumps(commands[sys.argv[1]]()))
