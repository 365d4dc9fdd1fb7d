"""Hooks, modes, traces and transforms see the modules and operators of the plain forward pass."""

import pytest
import torch
from backbone_pairs import SMALL, TWO_STAGES, X, assert_near, image, pair, small_pair, step
from mmengine.analysis import get_model_complexity_info
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules import module as nn_module
from torch.utils.flop_counter import FlopCounterMode

from eca_mmdet import ECAResNet
from eca_mmdet.fused.conv_norm import _ConvNorm
from eca_mmdet.fused.eca_residual import _ECAResidual

REGISTER_HOOK = {
    'forward': nn.Module.register_forward_hook,
    'forward pre': nn.Module.register_forward_pre_hook,
    'backward': nn.Module.register_full_backward_hook,
    'backward pre': nn.Module.register_full_backward_pre_hook,
}
MODULE_NAMES = [
    name for name, _ in ECAResNet(50, deep_stem=True, avg_down=True, **SMALL).named_modules() if name
]


@pytest.mark.parametrize(
    'name', ['conv1', 'layer2', 'layer2.0', 'layer2.0.bn1', 'layer3.0.eca', 'layer4.0.relu']
)
def test_forward_hook__receives_the_values_of_the_plain_pass(name):
    seen = []
    for backbone in pair(50, mode=False):
        outs = []
        hook = lambda module, args, out, outs=outs: outs.append(out.clone())  # noqa: E731
        backbone.get_submodule(name).register_forward_hook(hook)
        with torch.no_grad():
            backbone(X)
        seen.append(outs)
    assert seen[0]
    assert_near(*seen, 2e-5)


@pytest.mark.parametrize('hook_type', REGISTER_HOOK)
def test_hook_on_any_module__is_called_as_often_as_in_the_plain_pass(hook_type):
    for name in MODULE_NAMES:
        calls = []
        for backbone in small_pair(deep_stem=True, avg_down=True):
            for module in backbone.modules():
                if isinstance(module, nn.ReLU):
                    module.inplace = False  # torch rejects backward hooks if a view is changed in place
            seen = []
            REGISTER_HOOK[hook_type](backbone.get_submodule(name), lambda *_, seen=seen: seen.append(1))
            try:
                step(backbone, image().requires_grad_())
            except RuntimeError as error:
                seen.append(type(error))
            calls.append(seen)
        assert calls[0] == calls[1], name


@pytest.mark.parametrize(
    'register', [nn_module.register_module_forward_hook, nn_module.register_module_forward_pre_hook]
)
def test_global_hook__is_called_for_every_module(register):
    calls = []
    for backbone in small_pair():
        seen = []
        handle = register(lambda module, *_, seen=seen: seen.append(type(module)))
        try:
            backbone(image())
        finally:
            handle.remove()
        calls.append(seen)
    assert calls[0] == calls[1]
    assert len(calls[0]) > 20


def test_flop_counter__counts_as_in_the_plain_pass():
    counts = []
    for backbone in small_pair():
        with FlopCounterMode(display=False) as counter:
            backbone(image())
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def test_complexity_in_mmengine__is_that_of_the_plain_pass():
    flops = [
        get_model_complexity_info(backbone, (3, 64, 64), show_table=False, show_arch=False)['flops']
        for backbone in small_pair(dtype=torch.float32)
    ]
    assert flops[0] == flops[1] > 0


def test_fake_tensors__give_the_shapes():
    fused, _ = small_pair()
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    x = image()
    with mode:
        outs = fused(mode.from_tensor(x))
    assert [out.shape for out in outs] == [out.shape for out in fused(x)]


def test_export_trace_and_compile__give_the_plain_values():
    fused, plain = pair(18, mode=False, **TWO_STAGES)
    with torch.no_grad():
        expected = plain(X)
        assert_near(torch.jit.trace(fused, X)(X), expected, 2e-5)
        assert_near(torch.export.export(fused, (X,)).module()(X), expected, 2e-5)
        assert_near(torch.compile(fused, backend='eager', fullgraph=True)(X), expected, 2e-5)


def test_compiled_backbone__trains_without_the_custom_functions(monkeypatch):
    fused, plain = pair(18, frozen_stages=1, **TWO_STAGES)
    for function in (_ConvNorm, _ECAResidual):
        monkeypatch.setattr(function, 'apply', None)
    outs, grads = step(torch.compile(fused, backend='aot_eager'), X)
    expected, expected_grads = step(plain, X)
    assert_near(outs, expected, 1e-4)
    assert_near(grads.values(), expected_grads.values(), 1e-4)


def test_fx_trace__gives_the_graph_of_the_plain_pass():
    graphs = [torch.fx.symbolic_trace(backbone) for backbone in small_pair()]
    assert graphs[0].code == graphs[1].code
    x = image()
    assert_near(graphs[0](x), graphs[1](x), 1e-10)


def test_vmap__gives_the_features_of_each_batch():
    fused, plain = small_pair()
    x = torch.stack([image(), image()])
    with torch.no_grad():
        outs = torch.func.vmap(fused)(x)
        for i in range(2):
            assert_near([out[i] for out in outs], plain(x[i]), 1e-10)


def test_func_grad__gives_the_gradients_of_the_plain_pass():
    x, grads = image(), []
    for backbone in small_pair():
        parameters = {name: parameter.detach() for name, parameter in backbone.named_parameters()}

        def loss(parameters, backbone=backbone):
            return torch.func.functional_call(backbone, parameters, (x,))[-1].square().sum()

        grads.append(torch.func.grad(loss)(parameters))
    assert_near(grads[0].values(), grads[1].values(), 1e-10)


def test_forward_mode__gives_the_derivatives_of_the_plain_pass():
    x, direction = image(), image()
    tangents = []
    for backbone in small_pair():
        with torch.autograd.forward_ad.dual_level():
            outs = backbone(torch.autograd.forward_ad.make_dual(x, direction))
            tangents.append([torch.autograd.forward_ad.unpack_dual(out).tangent for out in outs])
    assert all(tangent.abs().max() > 0 for tangent in tangents[1])
    assert_near(*tangents, 1e-10)


@pytest.mark.parametrize('options', [dict(create_graph=True), dict(is_grads_batched=True)])
def test_higher_derivatives_and_batched_gradients__are_rejected(options):
    fused, _ = small_pair()
    out = fused(image())[-1]
    shape = (2, *out.shape) if 'is_grads_batched' in options else out.shape
    grad = torch.ones(shape, dtype=out.dtype)
    with pytest.raises(RuntimeError, match='fast=False'):
        torch.autograd.grad(out, list(fused.parameters()), grad, allow_unused=True, **options)
