"""The parts of a detector that compute in bfloat16 are found, and reported in the log."""

import copy
import dataclasses
from collections import OrderedDict, namedtuple
from types import SimpleNamespace

import pytest
import torch
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st
from mmdet.registry import MODELS
from mmdet.testing import demo_mm_inputs
from mmengine.config import Config
from mmengine.logging import MMLogger
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import DefaultScope
from mmengine.structures import InstanceData
from torch import nn

from eca_mmdet.apis import load_config
from eca_mmdet.engine import AutocastHook, autocast_parts
from eca_mmdet.engine.autocast_regions import add_regions, to_float32

SMALL_MASK_RCNN = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def build_small(name):
    """Build a detector of mmdet's configs with a small backbone and small heads."""
    path = Config._get_cfg_path(f'mmdet::{name}.py', '')[0]
    model, small_model = Config.fromfile(path).model, load_config(SMALL_MASK_RCNN).model
    shrink(model)
    model.update(backbone=small_model.backbone, neck={**small_model.neck, 'out_channels': 128})
    torch.manual_seed(0)
    return MODELS.build(model).train()


def shrink(node):
    """Reduce the number of channels in a config, in place."""
    items = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in items:
        if isinstance(value, (dict, list)):
            shrink(value)
        elif value == 256:
            node[key] = 128
        elif key == 'fc_out_channels':
            node[key] = 64


def compute_losses(model):
    torch.manual_seed(0)
    inputs = demo_mm_inputs(1, (3, 64, 64), num_items=[3], num_classes=80, with_mask=True, with_semantic=True)
    return model(**model.data_preprocessor(inputs, True), mode='loss')


CASCADE = [f'roi_head.{part}_head.{stage}' for part in ('bbox', 'mask') for stage in range(3)]


@pytest.mark.parametrize(
    ('config', 'expected_parts'),
    [
        ('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco', CASCADE),
        ('ms_rcnn/ms-rcnn_r50_fpn_1x_coco', ['roi_head.mask_iou_head']),
        ('point_rend/point-rend_r50-caffe_fpn_ms-1x_coco', ['roi_head.point_head']),
        ('cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco', ['rpn_head.stages.1']),
    ],
)
def test_default_parts__include_the_children_of_containers_and_compute_in_bfloat16(config, expected_parts):
    model = build_small(config)
    regions = add_regions(model)
    assert {'backbone', 'neck', *expected_parts} <= {region.name for region in regions}
    assert not any(region.has_run for region in regions)
    compute_losses(model)
    assert all(region.has_run and region.has_bfloat16 for region in regions)


def test_heads_of_cascade_rcnn__compute_in_bfloat16_in_all_stages():
    model = build_small('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco')
    seen = []
    for head in model.roi_head.bbox_head:
        head.fc_cls.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    autocast_parts(model, ['roi_head.bbox_head'])
    losses = compute_losses(model)
    assert seen == [torch.bfloat16] * 3
    assert model.parse_losses(losses)[0].dtype is torch.float32


class Model(nn.Module):
    """A model with a part that is used, one that is not, and one whose operations stay in float32."""

    def __init__(self):
        super().__init__()
        self.used, self.unused, self.in_float32 = nn.Linear(2, 2), nn.Linear(2, 2), nn.LayerNorm(2)
        self.heads = nn.ModuleDict(dict(a=nn.ModuleList([nn.Linear(2, 2)]), b=nn.Sequential(nn.Linear(2, 2))))

    def forward(self, x):
        return self.in_float32(self.heads['a'][0](self.used(x)))


def test_container__is_expect_float32_by_its_callable_children():
    assert autocast_parts(Model(), ['heads', 'used']) == ['heads.a.0', 'heads.b', 'used']


def test_part_given_twice__has_one_region():
    model = Model()
    assert autocast_parts(model, ['heads', 'heads.a', 'heads.a.0']) == ['heads.a.0', 'heads.b']
    autocast_parts(model, ['heads.a'])
    assert len(model.heads['a'][0]._forward_hooks) == 1


@pytest.mark.parametrize('parts', [['used', 'missing'], ['missing'], 'missing', ['used.missing', 'missing']])
def test_missing_part__is_an_error(parts):
    with pytest.raises(ValueError, match=r'no parts named .*missing; it has used, unused, in_float32, heads'):
        autocast_parts(Model(), parts)


def test_missing_part__is_an_error_before_any_region_is_added():
    model = Model()
    with pytest.raises(ValueError, match='has no parts named missing;'):
        autocast_parts(model, ['used', 'missing'])
    assert not model.used._forward_hooks


@pytest.fixture
def logged(monkeypatch):
    """The log messages, with their levels."""
    lines = []
    logger = MMLogger.get_instance('autocast')
    monkeypatch.setattr(logger, 'log', lambda level, message: lines.append((level, message)))
    return lines


@pytest.mark.parametrize(
    ('call_hook', 'when'),
    [
        (lambda hook, runner: hook.after_train_iter(runner, 0), 'the first training iteration'),
        (lambda hook, runner: hook.after_test_epoch(runner), 'the test'),
        (lambda hook, runner: hook.after_val_epoch(runner), 'the validation'),
    ],
)
def test_hook__reports_the_parts_in_bfloat16_and_warns_of_the_others(logged, call_hook, when, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX512')
    hook, runner = AutocastHook(['used', 'unused', 'in_float32', 'heads.a']), SimpleNamespace(model=Model())
    hook.before_run(runner)
    assert logged == []
    runner.model(torch.ones(1, 2))
    call_hook(hook, runner)
    call_hook(hook, runner)
    assert logged == [
        (20, 'bfloat16 in used, heads.a.0; float32 elsewhere'),
        (30, f'No bfloat16 in unused: not called in {when}'),
        (30, 'No bfloat16 in in_float32: none of its operations support it'),
    ]


@pytest.mark.parametrize(('capability', 'count'), [('AVX2', 1), ('DEFAULT', 1), ('AVX512', 0), ('SVE256', 0)])
def test_hook__warns_if_bfloat16_is_slow_on_the_processor(logged, monkeypatch, capability, count):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)
    AutocastHook(['used']).before_run(SimpleNamespace(model=Model()))
    assert [level for level, text in logged if 'bfloat16 is slow on this processor' in text] == [30] * count


def test_hook__adds_regions_once_if_a_runner_trains_and_tests():
    hook, runner = AutocastHook(['used']), SimpleNamespace(model=Model())
    hook.before_run(runner)
    hook.before_run(runner)
    assert len(runner.model.used._forward_pre_hooks) == 1


@pytest.mark.parametrize('copy_model', [copy.deepcopy, lambda model: ExponentialMovingAverage(model).module])
def test_copy__has_its_own_regions(copy_model):
    model = Model()
    regions = add_regions(model, ['used'])
    model_copy = copy_model(model)
    seen = []
    model_copy.used.register_forward_hook(lambda m, i, out: seen.append(out.dtype), prepend=True)
    model_copy(torch.ones(1, 2))
    assert seen == [torch.bfloat16]
    assert not regions[0].has_run


@pytest.mark.parametrize('config', ['dcn/faster-rcnn_r50-dconv-c3-c5', 'dcnv2/faster-rcnn_r50-mdconv-c3-c5'])
def test_operators_of_mmcv__compute_in_float32(config):
    """Their CPU kernels do not support bfloat16."""
    path = Config._get_cfg_path(f'mmdet::{config}_fpn_1x_coco.py', '')[0]
    model = MODELS.build({**Config.fromfile(path).model.backbone, 'init_cfg': None})
    seen = []
    model.layer2[0].conv2.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    model.layer2[0].conv3.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    parts = nn.ModuleDict(dict(backbone=model))
    autocast_parts(parts)
    sum(out.sum() for out in model(torch.randn(1, 3, 128, 128))).backward()
    assert seen == [torch.float32, torch.bfloat16]
    assert model.layer2[0].conv2.weight.grad.isfinite().all()


PairOutput = namedtuple('PairOutput', 'a b')


@dataclasses.dataclass(frozen=True)
class Output:
    a: object
    b: object = dataclasses.field(init=False, default=3)


leaves = st.sampled_from([torch.bfloat16, torch.float64, torch.float16, torch.int64, torch.bool]).map(
    lambda dtype: torch.ones(1, dtype=dtype)
) | st.sampled_from([None, 'text', 1.5])
nested = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.tuples(inner, inner),
        st.tuples(inner, inner).map(lambda pair: PairOutput(*pair)),
        inner.map(lambda value: dict(a=value)),
        inner.map(lambda value: OrderedDict(a=value)),
        inner.map(Output),
        inner.map(lambda value: InstanceData(metainfo=dict(size=3), x=[value])),
    ),
    max_leaves=6,
)


def describe(value):
    """Return the types, names and dtypes in a structure."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype)
    if isinstance(value, InstanceData):
        return type(value), dict(value.metainfo), describe(dict(value.items()))
    if isinstance(value, Output):
        return type(value), describe(value.a), value.b
    if isinstance(value, (list, tuple)):
        return type(value), [describe(item) for item in value]
    if isinstance(value, dict):
        return type(value), {key: describe(item) for key, item in value.items()}
    return value


def expect_float32(value):
    """Replace bfloat16 by float32 in a description."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(expect_float32, value))
    if isinstance(value, dict):
        return {key: expect_float32(item) for key, item in value.items()}
    return 'torch.float32' if value == 'torch.bfloat16' else value


@given(nested)
def test_to_float32__keeps_the_structure_and_converts_only_bfloat16(value):
    before = describe(value)
    assert describe(to_float32(value)) == expect_float32(before)
    assert describe(value) == before
