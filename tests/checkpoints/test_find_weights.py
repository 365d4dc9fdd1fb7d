from collections import OrderedDict

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from eca_mmdet.checkpoints import find_weights
from eca_mmdet.checkpoints.rename import plain_names

BARE = {'conv1.weight': torch.ones(2), 'layer1.0.bn1.bias': torch.zeros(3)}
OTHER = {name: value + 1 for name, value in BARE.items()}


def prefixed(prefix, tensors=BARE):
    return {prefix + name: value for name, value in tensors.items()}


def same(found, tensors=BARE):
    assert found.tensors.keys() == tensors.keys()
    assert all(found.tensors[name] is value for name, value in tensors.items())


@pytest.mark.parametrize(
    'entry',
    ['state_dict', 'model', 'model_state_dict', 'net', 'module', 'model_ema', 'ema', 'state_dict_ema'],
)
@pytest.mark.parametrize('depth', [1, 2])
def test_find__selects_the_only_container(entry, depth):
    inside = BARE if depth == 1 else dict(module=BARE, updates=torch.tensor(3))
    found = find_weights({entry: inside, 'epoch': 3, 'optimizer': dict(state={})})
    same(found)
    assert found.container == (entry if depth == 1 else f'{entry}.module')
    assert list(found.other_entries) == ['epoch', 'optimizer']


@pytest.mark.parametrize(
    'prefix', ['module.', '_orig_mod.', 'model.', 'module.module.', 'module._orig_mod.', 'model.module.']
)
def test_find__strips_prefixes_of_wrappers(prefix):
    found = find_weights(dict(state_dict=prefixed(prefix)))
    same(found)
    assert found.names == {name: prefix + name for name in BARE}


def test_find__strips_prefixes_of_compiled_parts():
    same(find_weights({name.replace('.', '._orig_mod.', 1): value for name, value in BARE.items()}))


def test_find__keeps_prefixes_of_model_parts():
    names = ['backbone.a', 'backbone.b']
    assert list(find_weights({name: torch.ones(1) for name in names}).tensors) == names
    names = ['model.a', 'head.b']
    assert list(find_weights({name: torch.ones(1) for name in names}).tensors) == names


def test_find__keeps_the_model_prefix_in_mmengine_checkpoints():
    found = find_weights(dict(state_dict=prefixed('model.'), meta=dict(mmengine_version='0.10.7')))
    assert found.tensors.keys() == prefixed('model.').keys()


def test_find__drops_and_reports_thop_counters():
    counters = {name: torch.zeros(1) for name in ('total_ops', 'total_params', 'layer1.0.total_ops')}
    found = find_weights(dict(state_dict=prefixed('module.', {**BARE, **counters})))
    same(found)
    assert found.dropped == ['3 counters (module.total_ops, ...)']


def test_find__drops_the_counter_of_an_averaged_model():
    """torchvision's training script saves such a counter."""
    averaged = {'n_averaged': torch.tensor(9), **prefixed('module.')}
    same(find_weights(dict(model_ema=averaged)))


def test_find__keeps_a_parameter_named_steps():
    assert 'steps' in find_weights({'steps': torch.tensor(1), **BARE}).tensors


@pytest.mark.parametrize('pair', [('model', 'model_ema'), ('state_dict', 'state_dict_ema'), ('net', 'ema')])
def test_find__rejects_two_containers(pair):
    checkpoint = {pair[0]: BARE, pair[1]: OTHER}
    with pytest.raises(ValueError, match=f"under '{pair[0]}', '{pair[1]}', .* --weights {pair[1]}"):
        find_weights(checkpoint)


@pytest.mark.parametrize('above', ['', 'model'])
def test_find__rejects_a_container_among_other_weights(above):
    """This results from `weights = model.state_dict(); weights['ema'] = averaged.state_dict()`."""
    mixed = {**BARE, 'ema': OTHER}
    path = f'{above}.ema' if above else 'ema'
    checkpoint = {above: mixed} if above else mixed
    with pytest.raises(ValueError, match=f"under '{path}' and outside it .*conv1.weight.* --weights {path}"):
        find_weights(checkpoint)
    same(find_weights(checkpoint, path), OTHER)


def test_find__ignores_scalar_tensors_next_to_a_container():
    """torch's ImageNet example saves its best accuracy as a tensor."""
    same(find_weights(dict(state_dict=BARE, best_acc1=torch.tensor(77.4))))


@pytest.mark.parametrize(('weights', 'tensors'), [('model', BARE), ('model_ema', OTHER), ('student', OTHER)])
def test_find__selects_the_requested_container(weights, tensors):
    found = find_weights(dict(model=BARE, model_ema=dict(module=OTHER), student=OTHER), weights)
    same(found, tensors)


def test_find__lists_the_containers_if_the_requested_one_is_missing():
    with pytest.raises(ValueError, match="weights='teacher': no such entry .* the file has model, student"):
        find_weights(dict(model=BARE, student=OTHER), 'teacher')


def test_find__lists_containers_with_unknown_names():
    with pytest.raises(
        ValueError, match=r"no state_dict found.*under \['student'\]: to convert one, pass --weights"
    ):
        find_weights(dict(student=BARE, epoch=3))


@pytest.mark.parametrize(
    'checkpoint', [dict(ema=dict(shadow=BARE, decay=0.9)), dict(run=dict(model=BARE), optimizer={})]
)
def test_find__lists_nested_containers(checkpoint):
    outer = next(iter(checkpoint))
    path = f'{outer}.{next(iter(checkpoint[outer]))}'
    with pytest.raises(
        ValueError, match=rf"no state_dict found.*under \['{path}'\]: to convert one, pass --weights"
    ):
        find_weights(checkpoint)
    same(find_weights(checkpoint, path))


@pytest.mark.parametrize('meta', [{}, dict(mmengine_version='0.10.7')])
def test_find__selects_the_same_container_as_mmengine_in_a_file_with_averages(meta):
    averaged = {'steps': torch.tensor(5), **prefixed('module.', OTHER)}
    found = find_weights(dict(state_dict=BARE, ema_state_dict=averaged, meta=meta))
    same(found)
    assert 'mmengine saves the averaged weights under state_dict' in found.describe()
    same(find_weights(dict(state_dict=BARE, ema_state_dict=averaged), 'ema_state_dict'), OTHER)


def test_find__ignores_hyperparameters():
    same(find_weights(dict(model=dict(name='resnet', depth=50), state_dict=BARE)))


def test_find__ignores_extra_state_of_modules():
    found = find_weights(dict(state_dict={**BARE, 'head._extra_state': dict(scale=1.0)}))
    same(found)
    assert found.extra == {'head._extra_state': dict(scale=1.0)}


@pytest.mark.parametrize(
    'entries', [{**BARE, 'epoch': 3}, {**BARE, 5: torch.ones(1)}, {}, dict(total_ops=torch.zeros(1))]
)
def test_find__rejects_entries_without_named_tensors(entries):
    with pytest.raises(ValueError, match='no state_dict found'):
        find_weights(dict(state_dict=entries))


def test_find__rejects_two_tensors_with_the_same_name():
    with pytest.raises(ValueError, match="'conv1.weight' and 'module.conv1.weight', would both be named"):
        find_weights({**BARE, **prefixed('module.')})


def test_find__is_idempotent():
    found = find_weights(dict(model=prefixed('module.')))
    assert find_weights(found) is found


PARTS = st.sampled_from(['backbone', 'layer1', '0', 'conv1', 'model', 'weight', 'fc', 'modules'])
NAMES = st.lists(PARTS, min_size=2, max_size=4).map('.'.join)
PREFIXES = st.lists(st.sampled_from(['module.', '_orig_mod.', 'model.']), max_size=4).map(''.join)


@given(st.sets(NAMES, min_size=1, max_size=6), PREFIXES)
def test_plain_names__do_not_depend_on_the_wrappers(names, prefix):
    plain = set(plain_names(names).values())
    assert set(plain_names([prefix + name for name in names]).values()) == plain


@given(st.sets(NAMES, min_size=1, max_size=6))
def test_plain_names__are_idempotent(names):
    plain = list(plain_names(names).values())
    assert plain_names(plain) == OrderedDict((name, name) for name in plain)
