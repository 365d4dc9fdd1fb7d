"""Folded weights of the fused forward pass follow every change of the weights."""

import copy
import io

import pytest
import torch
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from pairs import X, assert_same_features, randomized

from eca_mmdet import ECAResNet


def _hook_swap(model):
    """What mmengine's EMAHook does around validation."""
    hook = EMAHook()
    hook.src_model, hook.ema_model = model, ExponentialMovingAverage(model)
    for parameter in hook.ema_model.parameters():
        parameter.data.mul_(1.5)
    hook._swap_ema_parameters()
    model.eval()


@torch.no_grad()
def _scale(model):
    for parameter in model.parameters():
        parameter.mul_(1.1)


def _set_data(model):
    for parameter in model.parameters():
        parameter.data = parameter.data * 1.1


def _optimise(model):
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    torch.optim.SGD(model.parameters(), 0.01).step()


def _statistics(model):
    model.layer2[0].bn1.running_mean.add_(1)


def _train_and_back(model):
    model.norm_eval = False
    model.train()(X)
    model.eval()


@pytest.mark.parametrize(
    'change',
    [
        lambda model: model.load_state_dict(randomized(ECAResNet(18)).state_dict()),
        lambda model: model.load_state_dict(randomized(ECAResNet(18)).state_dict(), assign=True),
        lambda model: model.double().float().layer1[0].conv1.weight.data.zero_(),
        _hook_swap,
        _scale,
        _set_data,
        _optimise,
        _statistics,
        _train_and_back,
    ],
)
def test_folded_weights__are_never_stale(change):
    model = randomized(ECAResNet(18)).eval()
    model.init_cfg = None
    with torch.no_grad():
        before = model(X)
    change(model)
    plain = copy.deepcopy(model)
    plain.fast = False
    with torch.no_grad():
        assert not torch.allclose(model(X)[-1], before[-1], rtol=1e-3)
    assert_same_features(model, plain)


def test_copies_and_pickles__have_no_folded_weights_and_live_apart():
    model = randomized(ECAResNet(18)).eval()
    names = set(model.state_dict())
    with torch.inference_mode():
        before = model(X)[-1].clone()
    assert set(model.state_dict()) == names
    buffer = io.BytesIO()
    torch.save(model, buffer)
    assert buffer.tell() < 1.1 * sum(t.nbytes for t in model.state_dict().values())
    twin = copy.deepcopy(model)
    _scale(twin)
    with torch.no_grad():
        assert torch.equal(model(X)[-1], before)
        assert not torch.allclose(twin(X)[-1], before, rtol=1e-3)


def test_switching_onednn_off__folds_anew():
    model = randomized(ECAResNet(18)).eval()
    with torch.no_grad():
        before = model(X)
        with torch.backends.mkldnn.flags(enabled=False):
            torch.testing.assert_close(model(X), before, rtol=1e-3, atol=1e-4)
