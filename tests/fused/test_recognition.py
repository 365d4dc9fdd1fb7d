"""What is not an ordinary ResNet on ordinary tensors takes the plain forward pass."""

import copy

import pytest
import torch
from mmengine.analysis import get_model_complexity_info
from mmengine.logging import MMLogger
from mmengine.model import ExponentialMovingAverage
from pairs import X, assert_near, assert_same, assert_same_features, pair, randomized, step
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.modules import module as nn_module
from torch.nn.utils import parametrizations, prune, spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from eca_mmdet import ECAResNet

SMALL = dict(stage_blocks=(1, 1), num_stages=2, strides=(1, 2), dilations=(1, 1), out_indices=(0, 1))
SMALL.update(eca_kernel_sizes=3, base_channels=8)


def small_pair(depth=50, mode=False, dtype=torch.float64, **options):
    """The same small backbone twice: fused and plain."""
    fused = randomized(ECAResNet(depth, **{**SMALL, **options})).to(dtype).train(mode)
    plain = copy.deepcopy(fused)
    plain.fast = False
    return fused, plain


def image(dtype=torch.float64):
    return torch.randn(2, 3, 33, 40, dtype=dtype)


@pytest.fixture
def fused_calls(monkeypatch):
    """The blocks that took the fused pass."""
    calls, function = [], ECAResNet._fused_block
    monkeypatch.setattr(
        ECAResNet, '_fused_block', lambda self, parts, x: calls.append(parts) or function(self, parts, x)
    )
    return calls


def test_fused_pass__is_taken_where_everything_is_ordinary(fused_calls):
    fused, plain = small_pair()
    assert_same(fused, plain, image())
    assert len(fused_calls) == 2


class Guided(nn.ReLU):
    """The ReLU of guided backpropagation: only positive gradients pass."""

    def forward(self, x):
        return _Guided.apply(x)


class _Guided(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        return grad.clamp(min=0) * (x > 0)


@pytest.mark.parametrize('name', ['relu', 'layer1.0.relu', 'layer2.0.relu'])
@pytest.mark.parametrize('activation', [nn.LeakyReLU(0.1), nn.SiLU(), Guided(), nn.ReLU6()])
def test_replaced_activation__is_used(name, activation):
    fused, plain = small_pair()
    for backbone in (fused, plain):
        backbone.set_submodule(name, activation)
    assert_same(fused, plain, image())


@pytest.mark.parametrize('name', ['conv1', 'layer1.0.conv2', 'layer2.0.downsample.0', 'layer1.0.bn3'])
@pytest.mark.parametrize('wrap', [parametrizations.weight_norm, spectral_norm, None])
def test_reparametrised_weight__is_used(name, wrap):
    fused, plain = small_pair()
    for backbone in (fused, plain):
        torch.manual_seed(0)
        module = backbone.get_submodule(name)
        if wrap is None:
            prune.l1_unstructured(module, 'weight', amount=0.5)
        elif not isinstance(module, nn.BatchNorm2d):
            wrap(module)
    assert_same(fused, plain, image())


@pytest.mark.parametrize(
    'conv',
    [
        nn.Conv1d(1, 1, 3, padding=1, bias=True),
        nn.Conv1d(1, 1, 3, padding=2, dilation=2, bias=False),
        nn.Conv1d(1, 1, 3, padding=1, bias=False, padding_mode='circular'),
    ],
)
def test_replaced_convolution_of_the_attention__is_used(conv):
    fused, plain = small_pair()
    for backbone in (fused, plain):
        backbone.layer1[0].eca.conv = copy.deepcopy(conv).double()
    assert_same(fused, plain, image())


def test_patched_forward_of_a_module__is_called():
    fused, plain = small_pair()
    for backbone in (fused, plain):
        bn = backbone.layer1[0].bn2
        bn.forward = lambda x, bn=bn: 2 * type(bn).forward(bn, x)
    assert_same(fused, plain, image())


KINDS = {
    'forward': lambda m, seen: m.register_forward_hook(lambda *_: seen.append(1)),
    'pre': lambda m, seen: m.register_forward_pre_hook(lambda *_: seen.append(1)),
    'backward': lambda m, seen: m.register_full_backward_hook(lambda *_: seen.append(1)),
    'backward pre': lambda m, seen: m.register_full_backward_pre_hook(lambda *_: seen.append(1)),
}
WITHIN = [name for name, _ in ECAResNet(50, deep_stem=True, avg_down=True, **SMALL).named_modules() if name]


@pytest.mark.parametrize('kind', KINDS)
def test_hooks_of_every_kind_on_every_module__run_as_often_as_in_the_plain_pass(kind):
    for name in WITHIN:
        counts = []
        for backbone in small_pair(deep_stem=True, avg_down=True):
            for relu in (m for m in backbone.modules() if isinstance(m, nn.ReLU)):
                relu.inplace = False  # torch refuses backward hooks on views that are changed in place
            seen = []
            KINDS[kind](backbone.get_submodule(name), seen)
            try:
                step(backbone, image().requires_grad_())
            except RuntimeError as error:
                seen.append(type(error))
            counts.append(seen)
        assert counts[0] == counts[1], name


@pytest.mark.parametrize(
    'register', [nn_module.register_module_forward_hook, nn_module.register_module_forward_pre_hook]
)
def test_global_hooks__see_every_module(register):
    counts = []
    for backbone in small_pair():
        seen = []
        handle = register(lambda m, *_, seen=seen: seen.append(type(m)))
        try:
            backbone(image())
        finally:
            handle.remove()
        counts.append(seen)
    assert counts[0] == counts[1]
    assert len(counts[0]) > 20


def test_flop_counter__counts_as_in_the_plain_pass():
    counts = []
    for backbone in small_pair():
        with FlopCounterMode(display=False) as counter:
            backbone(image())
        counts.append(counter.get_total_flops())
    assert counts[0] == counts[1] > 0


def test_complexity_of_mmengine__is_that_of_the_plain_pass():
    found = [
        get_model_complexity_info(b, (3, 64, 64), show_table=False, show_arch=False)
        for b in small_pair(dtype=torch.float32)
    ]
    assert found[0]['flops'] == found[1]['flops'] > 0


WRONG_INPUTS = {
    'integers': lambda: torch.randint(0, 255, (2, 3, 33, 40)),
    'bytes': lambda: torch.zeros(2, 3, 33, 40, dtype=torch.uint8),
    'half': lambda: image(torch.float16),
    'bfloat16': lambda: image(torch.bfloat16),
    'float64': image,
    'complex': lambda: image(torch.complex64),
    'three dimensions of wrong channels': lambda: torch.randn(2, 33, 40),
    'five dimensions': lambda: torch.randn(1, 2, 3, 33, 40),
    'four channels': lambda: torch.randn(2, 4, 33, 40),
    'no image': lambda: torch.randn(0, 3, 33, 40),
    'no height': lambda: torch.randn(2, 3, 0, 40),
    'not a tensor': lambda: 'image',
    'one image': lambda: torch.randn(3, 33, 40),
    'meta': lambda: torch.empty(2, 3, 33, 40, device='meta'),
}


def result(backbone, x):
    """Shapes and types of the features, or the error."""
    try:
        return [(out.shape, out.dtype, out.device) for out in backbone(x)]
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize('name', WRONG_INPUTS)
def test_unusual_input__gives_the_result_or_the_error_of_the_plain_pass(name):
    fused, plain = small_pair(dtype=torch.float32)
    x = WRONG_INPUTS[name]()
    assert result(fused, x) == result(plain, x)


def test_weights_of_mixed_types__give_the_error_of_the_plain_pass():
    found = []
    for backbone in small_pair(dtype=torch.float32):
        backbone.layer2.half()
        found.append(result(backbone, image(torch.float32)))
    assert found[0] == found[1]
    assert found[0][0] is RuntimeError


class Tagged(Tensor):
    """A tensor subclass, which its functions return."""


def test_tensor_subclass__is_kept():
    fused, plain = small_pair()
    x = image().as_subclass(Tagged)
    outs = fused(x)
    assert all(type(out) is Tagged for out in outs)
    assert_near([o.as_subclass(Tensor) for o in outs], plain(x.as_subclass(Tensor)), 1e-10)


def test_fake_tensors__give_the_shapes():
    fused, _ = small_pair()
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    x = image()
    with mode:
        outs = fused(mode.from_tensor(x))
    assert [o.shape for o in outs] == [o.shape for o in fused(x)]


def test_fx_trace__gives_the_graph_of_the_plain_pass():
    graphs = [torch.fx.symbolic_trace(backbone) for backbone in small_pair()]
    assert graphs[0].code == graphs[1].code
    x = image()
    assert_near(graphs[0](x), graphs[1](x), 1e-10)


def test_vmap__gives_the_features_of_every_batch():
    fused, plain = small_pair()
    x = torch.stack([image(), image()])
    with torch.no_grad():
        outs = torch.func.vmap(fused)(x)
        for i in range(2):
            assert_near([out[i] for out in outs], plain(x[i]), 1e-10)


def test_func_grad__gives_the_gradients_of_the_plain_pass():
    x, grads = image(), []
    for backbone in small_pair():
        loss = lambda p, b=backbone: torch.func.functional_call(b, p, (x,))[-1].square().sum()  # noqa: E731
        grads.append(torch.func.grad(loss)({k: v.detach() for k, v in backbone.named_parameters()}))
    assert_near(grads[0].values(), grads[1].values(), 1e-10)


def test_forward_mode__gives_the_derivatives_of_the_plain_pass():
    x, direction = image(), image()
    tangents = []
    for backbone in small_pair():
        with torch.autograd.forward_ad.dual_level():
            outs = backbone(torch.autograd.forward_ad.make_dual(x, direction))
            tangents.append([torch.autograd.forward_ad.unpack_dual(out).tangent for out in outs])
    assert all(t.abs().max() > 0 for t in tangents[1])
    assert_near(*tangents, 1e-10)


@pytest.mark.parametrize('options', [dict(create_graph=True), dict(is_grads_batched=True)])
def test_higher_derivatives_and_batched_gradients__are_refused(options):
    fused, _ = small_pair()
    out = fused(image())[-1]
    shape = (2, *out.shape) if 'is_grads_batched' in options else out.shape
    grad = torch.ones(shape, dtype=out.dtype)
    with pytest.raises(RuntimeError, match='fast=False'):
        torch.autograd.grad(out, list(fused.parameters()), grad, allow_unused=True, **options)


class _NoWaiting(TorchDispatchMode):
    """Refuses the operators whose result decides something on the CPU."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        assert not name.startswith(('aten._local_scalar_dense', 'aten.nonzero', 'aten.is_nonzero')), name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('norm_eval', [True, False])
def test_training_step__never_waits_for_the_device(monkeypatch, fused_calls, norm_eval):
    fused, _ = small_pair(mode=True, norm_eval=norm_eval, frozen_stages=1)
    monkeypatch.setattr('eca_mmdet.fused.forward.is_observed', lambda: False)
    monkeypatch.setattr('eca_mmdet.layers.fast_conv.is_observed', lambda: False)
    x = image()
    with _NoWaiting():
        outs = fused(x)
        sum(out.sum() for out in outs).backward()
    assert len(fused_calls) == 2


def test_training_norms__keep_less_for_the_backward_pass_than_the_plain_block(fused_calls):
    kept = []
    for backbone in small_pair(mode=True, norm_eval=False, dtype=torch.float32, stage_blocks=(4, 1)):
        sizes = {}

        def pack(tensor, sizes=sizes):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            outs = backbone(torch.randn(2, 3, 128, 128))
        kept.append(sum(sizes.values()))
        del outs
    assert len(fused_calls) == 5
    assert kept[0] < 0.9 * kept[1]


def test_conv_bn_fused_by_mmcv__takes_the_fused_pass(fused_calls):
    from mmcv.cnn import fuse_conv_bn

    fused, plain = small_pair()
    assert_same_features(fuse_conv_bn(fused), plain, image(), tolerance=1e-10)
    assert len(fused_calls) == 2


def _adamw(model):
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.AdamW(model.parameters(), 0.01, fused=True).step()


def _ema(model):
    average = ExponentialMovingAverage(model, momentum=0.5)
    other = randomized(ECAResNet(50, **SMALL)).double()
    average.update_parameters(other)
    average.update_parameters(other)
    return average.module


@torch.no_grad()
def _frozen_data(model):
    for parameter in model.requires_grad_(False).parameters():
        parameter.data.mul_(0.5).add_(0.1)


@pytest.mark.parametrize('change', [_adamw, _ema, _frozen_data])
def test_weights_changed_in_eval_mode__are_used_in_the_next_call(change):
    model, _ = small_pair()
    with torch.no_grad():
        before = model(image())
    model = change(model) or model
    plain = copy.deepcopy(model)
    plain.fast = False
    x = image()
    assert_same_features(model, plain, x, tolerance=1e-10)
    with torch.no_grad():
        assert not torch.allclose(model(x)[-1], before[-1])


def test_average_of_weights__is_used_while_it_is_updated():
    source = randomized(ECAResNet(50, **SMALL)).double().eval()
    average = ExponentialMovingAverage(copy.deepcopy(source), momentum=0.5)
    x = image()
    for _ in range(3):
        with torch.no_grad():
            average.module.eval()(x)
        randomized(source)
        average.update_parameters(source)
        plain = copy.deepcopy(average.module)
        plain.fast = False
        assert_same_features(average.module, plain, x, tolerance=1e-10)


def test_log__counts_the_blocks_that_are_recognised(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger, 'info', lambda self, line: lines.append(line))
    fused, _ = small_pair()
    fused.layer1[0].relu = nn.SiLU()
    fused(image())
    assert lines == ['ECAResNet: fused forward pass in 1 of 2 blocks (fast=False turns it off)']


def test_default_pair__is_fused_in_every_block(fused_calls):
    assert_same(*pair(50, dtype=torch.float64), x=X.double())
    assert len(fused_calls) == 5
