import pytest
import torch
from mmcv.cnn.bricks.conv_ws import ConvAWS2d
from torch import nn

from eca_mmdet.checkpoints.effect import LoadedWeightsError, predict, verify


class Doubled(nn.Module):
    """Load an older tensor name, as mmdet's classes do, and one tensor into two parts."""

    def __init__(self):
        super().__init__()
        self.student, self.teacher = nn.Linear(2, 2), nn.Linear(2, 2)

    def _load_from_state_dict(self, state_dict, prefix, *args):
        for name in ('weight', 'bias'):
            if f'{prefix}old.{name}' in state_dict:
                value = state_dict.pop(f'{prefix}old.{name}')
                state_dict[f'{prefix}student.{name}'] = state_dict[f'{prefix}teacher.{name}'] = value
        super()._load_from_state_dict(state_dict, prefix, *args)


class Transposing(nn.Linear):
    def _load_from_state_dict(self, state_dict, prefix, *args):
        state_dict[f'{prefix}weight'] = state_dict[f'{prefix}weight'].T.contiguous()
        super()._load_from_state_dict(state_dict, prefix, *args)


def loaded(model, tensors):
    """Return the predicted effect, and the model after mmengine has loaded the checkpoint."""
    from mmengine.runner.checkpoint import load_state_dict

    effect = predict(model, tensors)
    load_state_dict(model, dict(tensors), strict=False, logger='silent')
    return effect


LINEAR = dict(weight=torch.tensor([[1.0, 2], [3, 4]]), bias=torch.ones(2))


def test_predict__does_not_change_the_model():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    before = {name: (value, value.clone()) for name, value in model.state_dict(keep_vars=True).items()}
    predict(model, {f'0.{name}': value for name, value in LINEAR.items()})
    after = model.state_dict(keep_vars=True)
    assert all(after[name] is value and torch.equal(value, copy) for name, (value, copy) in before.items())


def test_predict__separates_loaded_initial_and_mismatched_tensors():
    effect = predict(nn.Linear(2, 2), dict(weight=torch.ones(3), other=torch.ones(1), bias=torch.ones(2)))
    assert list(effect.expected) == ['bias']
    assert effect.initial == ['weight']
    assert effect.shape_mismatches == ['weight: (3,) in the file, (2, 2) in the model']
    assert effect.describe('x.pth') == '1 of 3 tensors of x.pth took effect; the model has 2.'


def test_predict__handles_a_model_that_renames_tensors_on_loading():
    model, tensors = Doubled(), {f'old.{name}': value for name, value in LINEAR.items()}
    effect = loaded(model, tensors)
    assert effect.initial == []
    assert verify(model, effect, 'x.pth') == '2 of 2 tensors of x.pth took effect; the model has 4.'


def test_predict__handles_a_model_that_changes_values_on_loading():
    model = Transposing(2, 2)
    effect = loaded(model, LINEAR)
    verify(model, effect, 'x.pth')
    assert torch.equal(model.weight, LINEAR['weight'].T)


def test_predict__is_unknown_for_a_layer_that_reads_values_on_loading():
    tensors = dict(weight=torch.ones(1, 1, 1, 1), bias=torch.zeros(1))
    assert predict(ConvAWS2d(1, 1, 1), tensors) is None


def test_predict__ignores_non_persistent_buffers():
    model = nn.Linear(2, 2)
    model.register_buffer('mean', torch.zeros(3), persistent=False)
    assert predict(model, LINEAR).size == 2


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float64])
def test_verify__compares_in_the_dtype_of_the_model(dtype):
    model, tensors = nn.Linear(2, 2), {name: (v / 3).to(dtype) for name, v in LINEAR.items()}
    assert verify(model, loaded(model, tensors), 'x.pth') == '2 of 2 tensors of x.pth took effect.'


def test_verify__treats_nan_as_equal():
    model, tensors = nn.Linear(2, 2), {**LINEAR, 'bias': torch.tensor([float('nan'), 1])}
    verify(model, loaded(model, tensors), 'x.pth')


def test_verify__rejects_a_model_that_was_not_loaded():
    effect = predict(nn.Linear(2, 2), LINEAR)
    with pytest.raises(LoadedWeightsError, match=r"2 of the 2 tensors .*\['weight', 'bias'\]"):
        verify(nn.Linear(2, 2), effect, 'x.pth')
