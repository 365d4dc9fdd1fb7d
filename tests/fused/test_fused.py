"""The fused forward pass equals the plain one, which test_eca_resnet.py compares with the paper."""

import copy

import pytest
import torch
from backbone_pairs import (
    X,
    assert_near,
    assert_same,
    assert_same_features,
    image,
    pair,
    record_fused_blocks,
    small_pair,
    step,
)
from mmdet.models.backbones import ResNet
from mmengine.logging import MMLogger
from torch.utils._python_dispatch import TorchDispatchMode

from eca_mmdet import ECAResNet

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
def test_training_in_float64__equals_the_plain_pass(depth, options):
    assert_same(*pair(depth, dtype=torch.float64, **options), x=X.double())


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('x', [X, X[:1], X.contiguous(memory_format=torch.channels_last)])
def test_float32__differs_by_rounding_only(depth, x):
    fused, plain = pair(depth, frozen_stages=1)
    assert_same(fused, plain, x, tolerance=1e-4)
    assert_same_features(fused.eval(), plain.eval(), x)


def test_dcn__falls_back_to_the_plain_pass():
    assert_same(*pair(50, **DCN), tolerance=1e-4)


@pytest.mark.parametrize('depth', [18, 50])
def test_autocast__has_errors_no_larger_than_the_plain_pass(depth):
    errors = [[], []]
    for seed in range(4):  # rounding decides which ReLUs are active, so the errors of a single run vary
        fused, plain = pair(depth, frozen_stages=1)
        x = torch.randn(X.shape, generator=torch.Generator().manual_seed(seed))
        exact, exact_grads = step(copy.deepcopy(plain).double(), x.double())
        for backbone, all_errors in zip((fused, plain), errors):
            with torch.autocast('cpu', torch.bfloat16):
                outs, grads = step(backbone, x)
            assert all(grad.dtype == torch.float32 for grad in grads.values())
            feature_errors = [relative_error(a, b) for a, b in zip(outs, exact)]
            assert max(feature_errors) < 0.05
            all_errors += feature_errors
            all_errors += [relative_error(a, b) for a, b in zip(grads.values(), exact_grads.values())]
    assert sum(errors[0]) <= 1.25 * sum(errors[1])


def relative_error(found, expected):
    return ((found.double() - expected).norm() / expected.norm()).item()


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
def test_features__are_contiguous_whatever_the_strides_of_the_input(x):
    with torch.no_grad():
        assert all(out.is_contiguous() for out in ECAResNet(50).eval()(x))


def test_features__are_channels_last_with_the_option():
    with torch.no_grad():
        outs = ECAResNet(50, channels_last=True).eval()(X)
    assert all(out.is_contiguous(memory_format=torch.channels_last) for out in outs)


def test_frozen_stages__are_not_part_of_the_graph():
    backbone = ECAResNet(50, frozen_stages=1).train()
    outs = backbone(X)
    assert [out.requires_grad for out in outs] == [False, True, True, True]
    graph, seen = [outs[-1].grad_fn], set()
    while graph:
        node = graph.pop()
        if node is not None and node not in seen:
            seen.add(node)
            graph += [next_node for next_node, _ in node.next_functions]
    reached = {node.variable for node in seen if hasattr(node, 'variable')}
    assert reached == {p for p in backbone.parameters() if p.requires_grad}


def saved_bytes(backbone, x):
    """Count the bytes that are saved for the backward pass, including the features but no parameters."""
    sizes = {}

    def record(tensor):
        storage = tensor.untyped_storage()
        sizes[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(record, lambda tensor: tensor):
        outs = backbone(x)
    for out in outs:
        record(out)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in backbone.parameters()}
    return sum(size for pointer, size in sizes.items() if pointer not in parameters)


@pytest.mark.parametrize(('channels_last', 'limit'), [(None, 0.72), (True, 0.6)])
def test_fused_pass__saves_less_for_the_backward_pass_than_the_resnet_of_mmdet(channels_last, limit):
    x = torch.randn(2, 3, 320, 480)
    ours, stock = ECAResNet(50, frozen_stages=1, channels_last=channels_last), ResNet(50, frozen_stages=1)
    for backbone in (ours, stock):
        backbone.train()  # norms stay frozen, as norm_eval is True by default
    assert saved_bytes(ours, x) <= limit * saved_bytes(stock, x)


def test_norms_that_train__save_less_for_the_backward_pass_than_in_the_plain_pass(monkeypatch):
    blocks = record_fused_blocks(monkeypatch)
    options = dict(norm_eval=False, stage_blocks=(4, 1), channels_last=True)  # without copies of the features
    fused, plain = small_pair(mode=True, dtype=torch.float32, **options)
    x = torch.randn(2, 3, 128, 128)
    assert saved_bytes(fused, x) < 0.9 * saved_bytes(plain, x)
    assert len(blocks) == 5


class _RejectSynchronisation(TorchDispatchMode):
    """Reject operators whose result on the device the CPU must wait for."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = str(func)
        assert not name.startswith(('aten._local_scalar_dense', 'aten.nonzero', 'aten.is_nonzero')), name
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize('norm_eval', [True, False])
def test_training_step__never_waits_for_the_device(monkeypatch, norm_eval):
    blocks = record_fused_blocks(monkeypatch)
    fused, _ = small_pair(mode=True, norm_eval=norm_eval, frozen_stages=1)
    monkeypatch.setattr('eca_mmdet.fused.forward.is_observed', lambda: False)
    monkeypatch.setattr('eca_mmdet.layers.fast_conv.is_observed', lambda: False)
    x = image()
    with _RejectSynchronisation():
        outs = fused(x)
        sum(out.sum() for out in outs).backward()
    assert len(blocks) == 2


def test_distributed_training__has_the_gradients_of_one_process(tmp_path):
    fused, plain = pair(18, frozen_stages=1)
    store = torch.distributed.FileStore(str(tmp_path / 'store'), 1)
    torch.distributed.init_process_group('gloo', store=store, rank=0, world_size=1)
    try:
        _, grads = step(torch.nn.parallel.DistributedDataParallel(fused), X)
    finally:
        torch.distributed.destroy_process_group()
    _, expected = step(plain, X)
    assert_near(grads.values(), expected.values(), 1e-4)


def test_fast_false__takes_the_plain_pass(monkeypatch):
    backbone = ECAResNet(18, fast=False)
    monkeypatch.setattr(ECAResNet, '_fused_forward', None)
    assert len(backbone(X)) == 4


def test_log__says_once_how_many_blocks_are_fused(monkeypatch):
    lines = []
    monkeypatch.setattr(MMLogger, 'info', lambda self, line: lines.append(line))
    backbone = ECAResNet(50, plugins=[dict(CONTEXT, stages=(False, True, False, False))]).eval()
    with torch.no_grad():
        backbone(X), backbone(X)
    assert lines == ['ECAResNet: fused forward pass in 12 of 16 blocks (fast=False turns it off)']
