"""``ECAResNet(compile=True)``: the same values, and one graph for all image sizes."""

import copy
import io

import pytest
import torch
from backbone_pairs import X, assert_near, assert_same, assert_same_features, randomized

from eca_mmdet import ECAResNet
from eca_mmdet.backbones import compiled

ONE_STAGE = dict(
    stage_blocks=(1,), num_stages=1, strides=(1,), dilations=(1,), out_indices=(0,), eca_kernel_sizes=3
)
SIZES = [(64, 96), (96, 64), (97, 131), (128, 160), (160, 128), (75, 200)]


@pytest.fixture
def counters():
    """Reset Dynamo's counters and return them."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    yield torch._dynamo.utils.counters
    torch._dynamo.reset()


@pytest.fixture
def eager(monkeypatch):
    """Capture graphs without compiling them."""
    monkeypatch.setattr(compiled, 'COMPILE_OPTIONS', dict(dynamic=True, backend='eager'))


def pair(depth=18, **options):
    backbone = randomized(ECAResNet(depth, compile=True, **options)).train()
    plain = copy.deepcopy(backbone)
    plain.compiled = None
    return backbone, plain


def test_training__compiles_at_most_twice_for_all_sizes(counters):
    backbone, plain = pair(**ONE_STAGE)
    for height, width in SIZES:
        assert_same(backbone, plain, torch.randn(2, 3, height, width), tolerance=1e-4)
    # There are two graphs because torch splits the norms' sums over more than 4096 values.
    assert counters['stats']['unique_graphs'] <= 2
    assert not counters['graph_break']


@pytest.mark.parametrize('options', [dict(frozen_stages=1), dict(norm_eval=False), dict(fast=False)])
def test_values__equal_those_of_the_uncompiled_backbone(options, counters, eager):
    backbone, plain = pair(**options)
    for x in (X, X[:, :, :40].contiguous()):
        assert_same(backbone, plain, x, tolerance=1e-4)
    assert counters['stats']['unique_graphs'] == 1
    assert not counters['graph_break']


def test_inference_on_the_cpu__uses_the_folded_weights(counters, eager):
    backbone, plain = pair()
    assert_same_features(backbone.eval(), plain.eval())
    assert not counters['stats']


def test_names_copies_and_pickles__equal_those_of_the_uncompiled_backbone(counters, eager):
    backbone, plain = pair()
    assert list(backbone.state_dict()) == list(ECAResNet(18).state_dict())
    buffer = io.BytesIO()
    torch.save(backbone, buffer)
    buffer.seek(0)
    for twin in (copy.deepcopy(backbone), torch.load(buffer, weights_only=False)):
        torch.nn.init.zeros_(twin.layer4[1].bn2.weight)
        assert twin.compiled is not backbone.compiled
        assert_near(backbone(X), plain(X), 1e-5)
        assert (twin(X)[-1] - backbone(X)[-1]).abs().max() > 0.1
    assert counters['stats']['unique_graphs'] >= 1


def test_traces_and_exports__equal_those_of_the_uncompiled_backbone(counters, eager):
    backbone, plain = pair()
    assert_near(torch.jit.trace(backbone.eval(), X)(X), plain.eval()(X), 1e-5)
    exported = torch.export.export(backbone, (X,)).module()
    assert_near(exported(X), plain(X), 1e-5)


def test_missing_compiler__raises_an_error_before_the_backbone_is_built(monkeypatch):
    from torch._inductor import config, cpp_builder

    monkeypatch.setattr(config.cpp, 'cxx', ('no-such-compiler',))
    cpp_builder.cpp_compiler_search.cache_clear()
    with pytest.raises(ValueError, match='needs a C.. compiler.*install g'):
        ECAResNet(18, compile=True)
