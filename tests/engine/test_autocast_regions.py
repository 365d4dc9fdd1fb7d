"""Which parts of a detector compute in bfloat16, and what is said of those that do not."""

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

SHAPES = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')


@pytest.fixture(autouse=True)
def _scope():
    with DefaultScope.overwrite_default_scope('mmdet'):
        yield


def small(name):
    """A detector of mmdet's own configs with a small backbone and small heads."""
    path = Config._get_cfg_path(f'mmdet::{name}.py', '')[0]
    model, shapes = Config.fromfile(path).model, load_config(SHAPES).model
    shrink(model)
    model.update(backbone=shapes.backbone, neck={**shapes.neck, 'out_channels': 128})
    torch.manual_seed(0)
    return MODELS.build(model).train()


def shrink(node):
    """Fewer channels throughout, as the shapes config has them."""
    for key, value in node.items() if isinstance(node, dict) else enumerate(node):
        if isinstance(value, (dict, list)):
            shrink(value)
        elif value == 256:
            node[key] = 128
        elif key == 'fc_out_channels':
            node[key] = 64


def losses(model):
    torch.manual_seed(0)
    inputs = demo_mm_inputs(1, (3, 64, 64), num_items=[3], num_classes=80, with_mask=True, with_semantic=True)
    return model(**model.data_preprocessor(inputs, True), mode='loss')


CASCADE = [f'roi_head.{part}_head.{stage}' for part in ('bbox', 'mask') for stage in range(3)]


@pytest.mark.parametrize(
    ('config', 'own'),
    [
        ('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco', CASCADE),
        ('ms_rcnn/ms-rcnn_r50_fpn_1x_coco', ['roi_head.mask_iou_head']),
        ('point_rend/point-rend_r50-caffe_fpn_ms-1x_coco', ['roi_head.point_head']),
        ('cascade_rpn/cascade-rpn_faster-rcnn_r50-caffe_fpn_1x_coco', ['rpn_head.stages.1']),
    ],
)
def test_default_parts__have_what_is_called_within_containers_and_all_of_it_computes(config, own):
    model = small(config)
    regions = add_regions(model)
    assert {'backbone', 'neck', *own} <= {region.name for region in regions}
    assert not any(region.has_run for region in regions)
    losses(model)
    assert all(region.has_run and region.has_bfloat16 for region in regions)


def test_cascade__computes_in_bfloat16_within_the_heads_of_all_stages():
    model = small('cascade_rcnn/cascade-mask-rcnn_r50_fpn_1x_coco')
    seen = []
    for head in model.roi_head.bbox_head:
        head.fc_cls.register_forward_hook(lambda m, i, out: seen.append(out.dtype))
    autocast_parts(model, ['roi_head.bbox_head'])
    total = sum(sum(v) if isinstance(v, list) else v for k, v in losses(model).items() if 'loss' in k)
    assert seen == [torch.bfloat16] * 3
    assert total.dtype is torch.float32


class Parts(nn.Module):
    """One part that is used, one that is not, and one with nothing to compute in bfloat16."""

    def __init__(self):
        super().__init__()
        self.used, self.unused, self.exact = nn.Linear(2, 2), nn.Linear(2, 2), nn.LayerNorm(2)
        self.heads = nn.ModuleDict(dict(a=nn.ModuleList([nn.Linear(2, 2)]), b=nn.Sequential(nn.Linear(2, 2))))

    def forward(self, x):
        return self.exact(self.heads['a'][0](self.used(x)))


def test_container__stands_for_the_entries_that_are_called():
    assert autocast_parts(Parts(), ['heads', 'used']) == ['heads.a.0', 'heads.b', 'used']


def test_part_that_is_named_twice__has_one_region():
    model = Parts()
    assert autocast_parts(model, ['heads', 'heads.a', 'heads.a.0']) == ['heads.a.0', 'heads.b']
    autocast_parts(model, ['heads.a'])
    assert len(model.heads['a'][0]._forward_hooks) == 1


@pytest.mark.parametrize('parts', [['used', 'nothing'], ['nothing'], 'nothing', ['used.nothing', 'nothing']])
def test_part_that_is_not_there__is_named(parts):
    with pytest.raises(ValueError, match=r'none of the parts .*nothing; it has used, unused, exact, heads'):
        autocast_parts(Parts(), parts)


def test_part_that_is_not_there__is_refused_before_any_region_is_added():
    model = Parts()
    with pytest.raises(ValueError, match='none of the parts nothing;'):
        autocast_parts(model, ['used', 'nothing'])
    assert not model.used._forward_hooks


@pytest.fixture
def logged(monkeypatch):
    """What is logged, by level."""
    lines = []
    logger = MMLogger.get_instance('autocast')
    monkeypatch.setattr(logger, 'log', lambda level, message: lines.append((level, message)))
    return lines


@pytest.mark.parametrize(
    ('point', 'when'),
    [
        (lambda hook, runner: hook.after_train_iter(runner, 0), 'the first training iteration'),
        (lambda hook, runner: hook.after_test_epoch(runner), 'the test'),
        (lambda hook, runner: hook.after_val_epoch(runner), 'the validation'),
    ],
)
def test_hook__reports_what_computed_and_warns_of_what_did_not(logged, point, when, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: 'AVX512')
    hook, runner = AutocastHook(['used', 'unused', 'exact', 'heads.a']), SimpleNamespace(model=Parts())
    hook.before_run(runner)
    assert logged == []
    runner.model(torch.ones(1, 2))
    point(hook, runner)
    point(hook, runner)
    assert logged == [
        (20, 'bfloat16 in used, heads.a.0; the rest in float32'),
        (30, f'No bfloat16 in unused: not called in {when}'),
        (30, 'No bfloat16 in exact: no operation that has one'),
    ]


@pytest.mark.parametrize(('capability', 'count'), [('AVX2', 1), ('DEFAULT', 1), ('AVX512', 0), ('SVE256', 0)])
def test_hook__warns_where_the_processor_has_no_fast_bfloat16(logged, monkeypatch, capability, count):
    monkeypatch.setattr(torch.backends.cpu, 'get_cpu_capability', lambda: capability)
    AutocastHook(['used']).before_run(SimpleNamespace(model=Parts()))
    assert [level for level, text in logged if 'no fast bfloat16 for this processor' in text] == [30] * count


def test_hook__adds_nothing_a_second_time_where_one_runner_trains_and_tests():
    hook, runner = AutocastHook(['used']), SimpleNamespace(model=Parts())
    hook.before_run(runner)
    hook.before_run(runner)
    assert len(runner.model.used._forward_pre_hooks) == 1


@pytest.mark.parametrize('copied', [copy.deepcopy, lambda model: ExponentialMovingAverage(model).module])
def test_copy__has_regions_of_its_own(copied):
    model = Parts()
    regions = add_regions(model, ['used'])
    twin = copied(model)
    seen = []
    twin.used.register_forward_hook(lambda m, i, out: seen.append(out.dtype), prepend=True)
    twin(torch.ones(1, 2))
    assert seen == [torch.bfloat16]
    assert not regions[0].has_run


@pytest.mark.parametrize('config', ['dcn/faster-rcnn_r50-dconv-c3-c5', 'dcnv2/faster-rcnn_r50-mdconv-c3-c5'])
def test_operators_of_mmcv__within_a_part_compute_in_float32(config):
    """Their kernels for the CPU have no bfloat16."""
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


Pair = namedtuple('Pair', 'a b')


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
        st.tuples(inner, inner).map(lambda pair: Pair(*pair)),
        inner.map(lambda value: dict(a=value)),
        inner.map(lambda value: OrderedDict(a=value)),
        inner.map(Output),
        inner.map(lambda value: InstanceData(metainfo=dict(size=3), x=[value])),
    ),
    max_leaves=6,
)


def described(value):
    """Types, names and dtypes of a structure."""
    if isinstance(value, torch.Tensor):
        return str(value.dtype)
    if isinstance(value, InstanceData):
        return type(value), dict(value.metainfo), described(dict(value.items()))
    if isinstance(value, Output):
        return type(value), described(value.a), value.b
    if isinstance(value, (list, tuple)):
        return type(value), [described(item) for item in value]
    if isinstance(value, dict):
        return type(value), {key: described(item) for key, item in value.items()}
    return value


def replaced(value):
    """A description with float32 for bfloat16."""
    if isinstance(value, (list, tuple)):
        return type(value)(map(replaced, value))
    if isinstance(value, dict):
        return {key: replaced(item) for key, item in value.items()}
    return 'torch.float32' if value == 'torch.bfloat16' else value


@given(nested)
def test_output__keeps_its_structure_and_only_bfloat16_becomes_float32(value):
    before = described(value)
    assert described(to_float32(value)) == replaced(before)
    assert described(value) == before
