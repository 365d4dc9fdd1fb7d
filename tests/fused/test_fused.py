"""The fused forward pass against the plain blocks, which test_eca_resnet.py holds against the paper."""

import copy

import pytest
import torch
from mmdet.models.backbones import ResNet
from mmengine.logging import MMLogger
from pairs import SHALLOW, X, assert_near, assert_same, assert_same_features, pair, step

from eca_mmdet import ECAResNet
from eca_mmdet.fused.conv_norm import _ConvNorm
from eca_mmdet.fused.eca_residual import _ECAResidual

DCN = dict(dcn=dict(type='DCNv2', deform_groups=1), stage_with_dcn=(False, False, False, True))
CONTEXT = dict(cfg=dict(type='ContextBlock', ratio=0.25), position='after_conv3')


@pytest.mark.parametrize(
    ('depth', 'options'),
    [
        (18, dict(frozen_stages=1)),
        (18, dict(norm_eval=False)),
        (50, dict(frozen_stages=1)),
        (50, dict(frozen_stages=0, norm_eval=False)),
        (50, dict(frozen_stages=1, with_cp=True)),
        (50, dict(deep_stem=True, avg_down=True, frozen_stages=2)),
        (50, dict(groups=32, style='caffe')),
        (50, dict(attention='none')),
        (18, dict(norm_cfg=dict(type='GN', num_groups=8))),
        (18, dict(norm_cfg=dict(type='SyncBN'))),
        (50, dict(norm_cfg=dict(type='BN', requires_grad=False), channels_last=False)),
        (50, dict(plugins=[dict(CONTEXT, stages=(False, True, False, False))])),
    ],
)
def test_training__equals_the_plain_block_in_float64(depth, options):
    assert_same(*pair(depth, dtype=torch.float64, **options), x=X.double())


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('x', [X, X[:1], X.contiguous(memory_format=torch.channels_last)])
def test_float32__is_within_rounding(depth, x):
    fused, plain = pair(depth, frozen_stages=1)
    assert_same(fused, plain, x, tolerance=1e-4)
    assert_same_features(fused.eval(), plain.eval(), x)


def test_dcn__runs_as_it_is():
    assert_same(*pair(50, **DCN), tolerance=1e-4)


@pytest.mark.parametrize('depth', [18, 50])
def test_autocast__errs_no_more_than_the_plain_block_does(depth):
    errors = [[], []]
    for seed in range(4):  # in a single one, which ReLUs open by rounding decides the gradients' errors
        fused, plain = pair(depth, frozen_stages=1)
        x = torch.randn(X.shape, generator=torch.Generator().manual_seed(seed))
        exact, exact_grads = step(copy.deepcopy(plain).double(), x.double())
        for backbone, found in zip((fused, plain), errors):
            with torch.autocast('cpu', torch.bfloat16):
                outs, grads = step(backbone, x)
            tensors = list(zip((*outs, *grads.values()), (*exact, *exact_grads.values())))
            found += [((a.double() - b).norm() / b.norm()).item() for a, b in tensors]
            assert all(g.dtype == torch.float32 for g in grads.values())
            assert max(found[-len(tensors) :][:4]) < 0.05
    assert sum(errors[0]) <= 1.25 * sum(errors[1])


@pytest.mark.parametrize(
    'x',
    [
        X,
        X[:, :, ::2, 1:],
        X.contiguous(memory_format=torch.channels_last),
        X.transpose(2, 3),
        X[:1].expand(2, -1, -1, -1),
    ],
)
def test_features__are_contiguous_for_every_strided_input(x):
    with torch.no_grad():
        assert all(out.is_contiguous() for out in ECAResNet(50).eval()(x))


def test_features__are_channels_last_where_the_option_asks_for_it():
    with torch.no_grad():
        outs = ECAResNet(50, channels_last=True).eval()(X)
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in outs)


def test_frozen_stages__record_nothing():
    backbone = ECAResNet(50, frozen_stages=1).train()
    outs = backbone(X)
    assert [o.requires_grad for o in outs] == [False, True, True, True]
    graph, seen = [outs[-1].grad_fn], set()
    while graph:
        node = graph.pop()
        if node is not None and node not in seen:
            seen.add(node)
            graph += [following for following, _ in node.next_functions]
    reached = {node.variable for node in seen if hasattr(node, 'variable')}
    assert reached == {p for p in backbone.parameters() if p.requires_grad}


def kept_bytes(backbone, x):
    """Bytes that the forward pass keeps for the backward pass, parameters apart."""
    kept, own = {}, {p.untyped_storage().data_ptr() for p in backbone.parameters()}

    def pack(tensor):
        storage = tensor.untyped_storage()
        kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        outs = backbone(x)
    for out in outs:
        kept[out.untyped_storage().data_ptr()] = out.untyped_storage().nbytes()
    return sum(size for pointer, size in kept.items() if pointer not in own)


@pytest.mark.parametrize(('channels_last', 'limit'), [(None, 0.72), (True, 0.6)])
def test_memory_kept_for_the_backward_pass__is_less_than_the_plain_resnets(channels_last, limit):
    x = torch.randn(2, 3, 320, 480)
    ours, stock = ECAResNet(50, frozen_stages=1, channels_last=channels_last), ResNet(50, frozen_stages=1)
    for backbone in (ours, stock):
        backbone.train()  # norms on frozen statistics
    assert kept_bytes(ours, x) <= limit * kept_bytes(stock, x)


@pytest.mark.parametrize(
    'name', ['conv1', 'layer2', 'layer2.0', 'layer2.0.bn1', 'layer3.0.eca', 'layer4.0.relu']
)
def test_hooks__are_called_and_see_the_values_of_the_plain_block(name):
    seen = []
    for backbone in pair(50, mode=False):
        backbone.get_submodule(name).register_forward_hook(lambda m, i, out: seen.append(out.clone()))
        with torch.no_grad():
            backbone(X)
    assert len(seen) % 2 == 0
    assert_near(seen[: len(seen) // 2], seen[len(seen) // 2 :], 2e-5)
    assert seen


def test_export_trace_and_compile__give_the_plain_values():
    fused, plain = pair(18, mode=False, **SHALLOW)
    with torch.no_grad():
        expected = plain(X)
        assert_near(torch.jit.trace(fused, X)(X), expected, 2e-5)
        assert_near(torch.export.export(fused, (X,)).module()(X), expected, 2e-5)
        assert_near(torch.compile(fused, backend='eager', fullgraph=True)(X), expected, 2e-5)


def test_compile__trains_without_the_hand_written_functions(monkeypatch):
    fused, plain = pair(18, frozen_stages=1, **SHALLOW)
    for function in (_ConvNorm, _ECAResidual):
        monkeypatch.setattr(function, 'apply', None)
    outs, grads = step(torch.compile(fused, backend='aot_eager'), X)
    expected, expected_grads = step(plain, X)
    assert_near(outs, expected, 1e-4)
    assert_near(grads.values(), expected_grads.values(), 1e-4)


def test_distributed__gradients_equal_those_of_one_process(tmp_path):
    fused, plain = pair(18, frozen_stages=1)
    store = torch.distributed.FileStore(str(tmp_path / 'store'), 1)
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    try:
        _, grads = step(torch.nn.parallel.DistributedDataParallel(fused), X)
    finally:
        torch.distributed.destroy_process_group()
    _, expected = step(plain, X)
    assert_near(grads.values(), expected.values(), 1e-4)


def test_fast_off__runs_the_plain_block(monkeypatch):
    backbone = ECAResNet(18, fast=False)
    monkeypatch.setattr(ECAResNet, '_fused_forward', None)
    assert len(backbone(X)) == 4


def test_log__says_once_which_path_runs(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger, 'info', lambda self, line: lines.append(line))
    backbone = ECAResNet(50, plugins=[dict(CONTEXT, stages=(False, True, False, False))]).eval()
    with torch.no_grad():
        backbone(X), backbone(X)
    assert lines == ['ECAResNet: fused forward pass in 12 of 16 blocks (fast=False turns it off)']
