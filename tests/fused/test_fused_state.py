"""The fused forward pass uses the current weights in every call, whatever changed them."""

import copy
import io

import pytest
import torch
from backbone_pairs import SMALL, X, assert_same_features, image, plain_copy, randomized
from mmengine.hooks import EMAHook
from mmengine.model import ExponentialMovingAverage
from weight_changes import (
    add_to_data,
    replace_data,
    scale_in_place,
    scale_statistics,
    step_fused_adamw,
    step_sgd,
)

from eca_mmdet import ECAResNet


def _build(depth):
    backbone = randomized(ECAResNet(depth, **SMALL)).double().eval()
    backbone.init_cfg = None
    return backbone


def _load_state_dict(model, **options):
    model.load_state_dict(randomized(copy.deepcopy(model)).state_dict(), **options)


def _convert_and_zero(model):
    model.float().double().layer1[0].conv1.weight.data.zero_()


def _swap_ema_parameters(model):
    """Swap the weights with their average as mmengine's EMAHook does before a validation."""
    hook = EMAHook()
    hook.src_model, hook.ema_model = model, ExponentialMovingAverage(model)
    for parameter in hook.ema_model.parameters():
        parameter.data.mul_(1.5)
    hook._swap_ema_parameters()
    model.eval()


def _change_frozen_data(model):
    with torch.no_grad():
        for parameter in model.requires_grad_(False).parameters():
            parameter.data.mul_(0.5).add_(0.1)


def _train(model):
    model.norm_eval = False
    model.train()(image())
    model.eval()


@pytest.mark.parametrize(
    'change',
    [
        _load_state_dict,
        lambda model: _load_state_dict(model, assign=True),
        _convert_and_zero,
        _swap_ema_parameters,
        _change_frozen_data,
        _train,
        scale_in_place,
        add_to_data,
        replace_data,
        step_sgd,
        step_fused_adamw,
        scale_statistics,
    ],
)
@pytest.mark.parametrize('depth', [18, 50])
def test_changed_weights__are_used_in_the_next_call(depth, change):
    model, x = _build(depth), image()
    with torch.no_grad():
        before = model(x)
    change(model)
    with torch.no_grad():
        assert not torch.allclose(model(x)[-1], before[-1], rtol=1e-3)
    assert_same_features(model, plain_copy(model), x, tolerance=1e-10)


def test_averaged_weights__are_used_after_each_update():
    source = _build(50)
    average = ExponentialMovingAverage(copy.deepcopy(source), momentum=0.5)
    x, features = image(), []
    for _ in range(3):
        with torch.no_grad():
            features.append(average.module.eval()(x)[-1])
        randomized(source)
        average.update_parameters(source)
        assert_same_features(average.module, plain_copy(average.module), x, tolerance=1e-10)
    assert not torch.allclose(features[-1], features[0])


def test_copies_and_pickles__contain_no_folded_weights_and_are_independent():
    model = randomized(ECAResNet(18)).eval()
    names = set(model.state_dict())
    with torch.inference_mode():
        before = model(X)[-1].clone()
    assert set(model.state_dict()) == names
    buffer = io.BytesIO()
    torch.save(model, buffer)
    assert buffer.tell() < 1.1 * sum(tensor.nbytes for tensor in model.state_dict().values())
    model_copy = copy.deepcopy(model)
    scale_in_place(model_copy)
    with torch.no_grad():
        assert torch.equal(model(X)[-1], before)
        assert not torch.allclose(model_copy(X)[-1], before, rtol=1e-3)


def test_disabling_onednn__keeps_the_values():
    model = randomized(ECAResNet(18)).eval()
    with torch.no_grad():
        before = model(X)
        with torch.backends.mkldnn.flags(enabled=False):
            torch.testing.assert_close(model(X), before, rtol=1e-3, atol=1e-4)
