"""Property-based tests of the converter: wrappers, counters, dtypes and damaged tensors."""

import random

import pytest
import torch
from format_examples import backbone_weights, official, plain, timm
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference_mobilenet import official_state_dict as official_mobilenet

from eca_mmdet.backbones import VARIANTS
from eca_mmdet.checkpoints import convert
from eca_mmdet.checkpoints.find_weights import CONTAINERS
from eca_mmdet.meta_device import build_on_meta

DTYPES = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
COUNTER = 'num_batches_tracked'
FEWER = settings(max_examples=settings.default.max_examples // 4)  # an example converts a whole network


def cast(weights, dtype):
    return {name: v.to(dtype) if v.is_floating_point() else v for name, v in weights.items()}


@pytest.fixture(scope='module', autouse=True)
def _models_are_built_once():
    """Cache the models on the meta device: building them takes most of the time of a conversion."""
    models = {}

    def build_cached(config):
        key = repr(config)
        if key not in models:
            models[key] = build_on_meta(config)
        return models[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr('eca_mmdet.checkpoints.conversion.build_on_meta', build_cached)
        yield


@pytest.fixture(scope='module')
def networks():
    """Cache state_dicts without wrappers by source format and dtype."""
    torch.manual_seed(0)
    sources = dict(
        official=official(prefix=''),
        timm=timm(512, depth=18),
        tiered=timm(**VARIANTS['ecaresnet26t']),
        plain=plain(),
        mmdet=backbone_weights(depth=18),
        mobilenet={k.removeprefix('module.'): v for k, v in official_mobilenet().items()},
    )
    return {(name, dtype): cast(v, dtype) for name, v in sources.items() for dtype in DTYPES}


@pytest.fixture(scope='module')
def expected_of():
    """Cache the conversions of the state_dicts without wrappers."""
    return {}


SOURCES = st.tuples(
    st.sampled_from(['official', 'timm', 'tiered', 'plain', 'mmdet', 'mobilenet']), st.sampled_from(DTYPES)
)
PREFIXES = st.lists(st.sampled_from(['module.', '_orig_mod.', 'model.']), max_size=4).map(''.join)


@st.composite
def wrappings(draw):
    """Draw a function that wraps a state_dict as training scripts and libraries do."""
    prefix, compiled = draw(PREFIXES), draw(st.sampled_from(['', 'layer1.', 'layer2.0.', 'features.3.']))
    container = draw(st.sampled_from(['', *CONTAINERS]))
    nested = draw(st.sampled_from(['', 'module', 'state_dict'])) if container else ''
    other_entries = (
        draw(st.sets(st.sampled_from(['epoch', 'optimizer', 'arch', 'scaler', 'args']))) if container else ()
    )
    counted = draw(st.booleans())
    order = draw(st.integers(0, 100))

    def wrap(weights):
        names = list(weights)
        random.Random(order).shuffle(names)
        inside = {}
        for name in names:
            new = name.replace(compiled, f'{compiled}_orig_mod.', 1) if name.startswith(compiled) else name
            inside[prefix + (new if compiled else name)] = weights[name]
        if counted:
            for module in {name.rpartition('.')[0] for name in inside}:
                inside[f'{module}.total_ops'] = inside[f'{module}.total_params'] = torch.zeros(1)
        content = {nested: inside, 'updates': 3} if nested else inside
        if not container:
            return content
        return {
            container: content,
            **{name: dict(a=1) if name == 'optimizer' else 1 for name in other_entries},
        }

    return wrap


def assert_same(ours, theirs):
    """Return whether two state_dicts hold the same tensor objects under the same names."""
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        assert ours[name] is value or torch.equal(ours[name], value), name
        assert ours[name].dtype == value.dtype, name


@FEWER
@given(SOURCES, wrappings(), st.sampled_from(['mmdet', 'official', 'timm']))
def test_convert__gives_equal_results_for_all_wrappers(networks, expected_of, source, wrap, target):
    weights = networks[source]
    assume(not (target == 'official' and source[0] == 'tiered'))
    assume(not (target == 'timm' and source[0] == 'mobilenet'))
    if (source, target) not in expected_of:
        expected_of[source, target] = convert(weights, target=target)
    expected, found = expected_of[source, target], convert(wrap(weights), target=target)
    assert_same(found.state_dict, expected.state_dict)
    assert (found.backbone, found.source, found.added) == (expected.backbone, expected.source, expected.added)


@FEWER
@given(SOURCES, wrappings())
def test_convert__accounts_for_every_tensor(networks, source, wrap):
    """Each tensor of the checkpoint must be in the result or reported as dropped."""
    weights = networks[source]
    conversion = convert(wrap(weights))
    results = {id(value) for value in conversion.state_dict.values()}
    lost = [name for name, value in weights.items() if id(value) not in results]
    said = [entry.split(' ')[0] for entry in conversion.dropped]
    assert all(name.replace('classifier.1', 'fc') in said for name in lost)
    assert len(conversion.state_dict) == len(weights) - len(lost) + len(conversion.added)


KINDS = st.sampled_from(['missing', 'renamed', 'reshaped'])


def is_body(name):
    return not name.startswith(('fc.', 'classifier.'))


@FEWER
@given(SOURCES, wrappings(), st.data())
def test_convert__rejects_damaged_tensors(networks, source, wrap, data):
    weights = networks[source]
    body = [name for name in weights if is_body(name)]
    chosen = data.draw(st.lists(st.sampled_from(body), min_size=1, max_size=4, unique=True), label='tensors')
    damaged = dict(weights)
    for name in chosen:
        kind = data.draw(KINDS, label='damage')
        assume(not (kind == 'missing' and COUNTER in name))  # those are filled, as torch < 0.4.1 saved none
        value = damaged.pop(name)
        if kind == 'renamed':
            place = data.draw(st.integers(0, len(name)), label='place of a letter more')
            new = f'{name[:place]}q{name[place:]}'
            assume(new not in weights)
            damaged[new] = value
        elif kind == 'reshaped':
            damaged[name] = value[..., :-1] if value.dim() > 1 else value.reshape(1, -1)
    with pytest.raises(ValueError, match='.'):
        convert(wrap(damaged))


@FEWER
@given(SOURCES, wrappings(), st.sets(st.integers(0, 10**6), min_size=1, max_size=5))
def test_convert__fills_and_reports_missing_counters(networks, source, wrap, places):
    weights = networks[source]
    counters = [name for name in weights if COUNTER in name]
    missing = {counters[place % len(counters)] for place in places}
    conversion = convert(wrap({name: value for name, value in weights.items() if name not in missing}))
    added = [name for name in conversion.added if COUNTER in name]
    assert len(added) == len(missing)
    assert all(conversion.state_dict[name] == 0 for name in added)


@FEWER
@given(
    SOURCES.filter(lambda source: source[0] in ('mmdet', 'official')),
    st.lists(st.sampled_from([1, 3, 5, 7, 9]), min_size=4, max_size=4),
    st.sampled_from(['official', 'timm']),
    wrappings(),
    wrappings(),
)
def test_round_trip__with_any_kernel_sizes_keeps_every_bit(networks, source, sizes, between, first, second):
    weights = {name: value for name, value in networks[source].items() if is_body(name)}
    for name in weights:
        if '.eca.' in name:
            stage = int(name.removeprefix('layer')[0]) - 1
            weights[name] = torch.randn(1, 1, sizes[stage]).to(source[1])
    there = convert(first(weights), target=between)
    assert there.backbone['eca_kernel_sizes'] == sizes
    back = convert(second(there.state_dict))
    assert_same(back.state_dict, weights)


@FEWER
@given(SOURCES, PREFIXES, st.permutations(['model', 'model_ema', 'net', 'ema', 'state_dict_ema']))
def test_convert__rejects_two_containers(networks, source, prefix, entries):
    weights = networks[source]
    others = dict.fromkeys(weights, torch.zeros(1))
    checkpoint = {entries[0]: {prefix + name: value for name, value in weights.items()}, entries[1]: others}
    with pytest.raises(ValueError, match='it is unclear which to use'):
        convert(checkpoint)
    results = {id(value) for value in convert(checkpoint, weights=entries[0]).state_dict.values()}
    assert sum(id(value) in results for value in weights.values()) > len(weights) - 3
