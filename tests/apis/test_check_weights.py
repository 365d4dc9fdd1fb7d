"""Checks of the checkpoint that a run starts from."""

import shlex

import pytest
import torch
from format_examples import official, plain, timm
from mmdet.registry import MODELS
from mmengine.config import DictAction
from mmengine.registry import init_default_scope

from eca_mmdet.apis import add_weights_hooks, check_fits, check_run, load_config
from eca_mmdet.checkpoints.effect import group_names

CONFIG = 'eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py'


@pytest.fixture(scope='module')
def weights():
    """Random weights of a whole detector."""
    init_default_scope('mmdet')
    with torch.device('meta'):
        names = MODELS.build(load_config(CONFIG).model).state_dict()
    return {name: torch.rand(v.shape) if v.dim() else torch.tensor(3) for name, v in names.items()}


def select_backbone(weights):
    return {k.removeprefix('backbone.'): v for k, v in weights.items() if k.startswith('backbone.')}


def remove(weights, *parts):
    return {name: value for name, value in weights.items() if not any(part in name for part in parts)}


@pytest.fixture
def check(shapes, tmp_path):
    """Return a function that checks a run that starts from a file with the given content."""

    def run(content, mode='train', **options):
        torch.save(content, tmp_path / 'x.pth')
        cfg = load_config(CONFIG, dict(data_root=str(shapes), **options))
        cfg.work_dir, cfg.load_from = str(tmp_path / 'work'), str(tmp_path / 'x.pth')
        if mode == 'test':
            return check_fits(cfg, cfg.load_from)
        check_run(cfg, mode)
        return cfg

    return run


ENTRIES = ['state_dict', 'model', 'net', 'ema']


@pytest.mark.parametrize('mode', ['train', 'test'])
@pytest.mark.parametrize('entry', ENTRIES)
def test_check__accepts_a_whole_detector_in_any_container(check, weights, entry, mode):
    check({entry: {f'module.{k}': v for k, v in weights.items()}}, mode)


def test_load_from__may_differ_outside_the_backbone(check, weights, capsys):
    other = {**weights, 'roi_head.bbox_head.fc_cls.weight': torch.zeros(81, 3)}
    check(remove(other, 'neck.', 'rpn_head.rpn_cls.bias'))
    printed = ''.join(capsys.readouterr())
    for text in ('neck (', 'rpn_head.rpn_cls.bias', 'roi_head.bbox_head.fc_cls.weight',
                 'fc_cls.weight: (81, 3) in the file'):  # fmt: skip
        assert text in printed


def test_load_from__of_a_plain_backbone_initialises_the_attention(check, weights, capsys):
    check(remove(weights, '.eca.'))
    assert 'backbone.layer1.0.eca (1)' in ''.join(capsys.readouterr())


def test_load_from__of_old_files_needs_no_batch_counters(check, weights, capsys):
    check(remove(weights, 'num_batches_tracked'))
    assert 'start from their initial values' not in ''.join(capsys.readouterr())


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (select_backbone, 'fills none of .*a backbone alone .format mmdet'),
        (lambda weights: official(), 'fills none of .*a backbone alone .format official'),
        (lambda weights: plain(), 'fills none of .*a backbone alone .format plain'),
        (lambda weights: timm(512, depth=18), 'fills none of .*format timm.*convert_weights.py'),
        (lambda weights: dict(a=torch.ones(1)), r"fills none of .*names are like \['a'\]"),
        (lambda weights: remove(weights, 'backbone.'), 'does not fill the backbone'),
        (lambda weights: remove(weights, 'layer3.'), 'does not fill the backbone'),
        (lambda weights: remove(weights, 'layer3.0.eca'), r"1 of its \d+ tensors .*'backbone.layer3.0.eca"),
        (lambda weights: {**weights, 'backbone.conv1.weight': torch.ones(3)}, r'\(3,\) in the file, \(64'),
        (lambda weights: {**weights, 'neck.a': torch.tensor(float('nan'))}, 'NaN or infinity'),
        (lambda weights: dict(model=weights, model_ema=weights), "under 'model', 'model_ema'"),
        (lambda weights: dict(epoch=3), 'no state_dict found'),
    ],
)  # fmt: skip
def test_load_from__that_leaves_the_backbone_random_is_rejected(check, weights, make, message):
    with pytest.raises(ValueError, match=f'(?s)x.pth.*{message}'):
        check(make(weights))


def test_load_from__of_a_backbone_suggests_options_that_work(check, weights, shapes):
    with pytest.raises(ValueError, match='load_from=None') as error:
        check(dict(state_dict=select_backbone(weights)))
    line = str(error.value).splitlines()[-1]
    pairs = [word.partition('=') for word in shlex.split(line)[1:]]
    options = {key: DictAction._parse_iterable(value) for key, _, value in pairs}
    cfg = load_config(CONFIG, dict(data_root=str(shapes), **options))
    assert cfg.load_from is None
    check_run(cfg, 'train')
    assert cfg.model.backbone.init_cfg.checkpoint.endswith('x.pth')


def test_load_from__in_the_home_folder_is_found(check, weights, shapes, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    cfg = check(weights)
    cfg.load_from = '~/x.pth'
    check_run(cfg, 'train')


def test_init_cfg__in_the_home_folder_is_found(check, weights, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    cfg = check(dict(net=weights))
    cfg.load_from = None
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='~/x.pth', prefix='backbone.')
    check_run(cfg, 'train')


def test_init_cfg__with_an_unknown_prefix_is_rejected(check, weights):
    cfg = check(weights)
    init = dict(type='Pretrained', checkpoint=cfg.load_from, prefix='encoder.')
    cfg.load_from, cfg.model.backbone.init_cfg = None, init
    with pytest.raises(ValueError, match="x.pth: no tensor begins with prefix='encoder.'"):
        check_run(cfg, 'train')


def test_init_cfg__of_a_part_of_the_backbone_is_rejected(check, weights):
    cfg = check(weights)
    torch.save(remove(select_backbone(weights), 'layer4.1.conv2'), cfg.load_from)
    init = dict(type='Pretrained', checkpoint=cfg.load_from)
    cfg.load_from, cfg.model.backbone.init_cfg = None, init
    with pytest.raises(ValueError, match=r"does not fill the backbone: 1 of its .*'layer4.1.conv2.weight'"):
        check_run(cfg, 'train')


def test_init_cfg__in_a_list_is_checked(check, weights, tmp_path):
    cfg = check(weights)
    missing = dict(type='Pretrained', checkpoint=str(tmp_path / 'none.pth'))
    cfg.model.neck.init_cfg = [dict(type='Xavier', layer='Conv2d'), missing]
    with pytest.raises(FileNotFoundError, match='none.pth of model.neck: no such file'):
        check_run(cfg, 'train')


@pytest.mark.parametrize('mode', ['train', 'test', 'resume'])
def test_remote_checkpoint__is_not_checked(shapes, tmp_path, capsys, mode):
    cfg = load_config(CONFIG, dict(data_root=str(shapes)))
    cfg.work_dir, cfg.load_from = str(tmp_path), 'https://example.org/x.pth'
    cfg.resume = mode == 'resume'
    check_fits(cfg, cfg.load_from) if mode == 'test' else check_run(cfg, 'train')
    assert 'x.pth was not checked before the start' in ''.join(capsys.readouterr())


def test_model_that_cannot_be_built_on_the_meta_device__is_not_checked(check, weights, capsys, monkeypatch):
    monkeypatch.setattr(MODELS, 'build', lambda cfg: torch.empty(1, device='meta').item())
    check(weights, 'test')
    assert 'the model cannot be built on the meta device' in ''.join(capsys.readouterr())


def test_hooks__are_added_unless_the_config_has_them():
    cfg = load_config('eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py')
    before = [hook.type for hook in cfg.custom_hooks]
    add_weights_hooks(cfg)
    assert [hook.type for hook in cfg.custom_hooks] == before
    cfg.custom_hooks = [dict(type='EMAHook')]
    add_weights_hooks(cfg)
    assert [hook.type for hook in cfg.custom_hooks] == ['EMAHook', 'SafeResumeHook', 'LoadedWeightsHook']


def test_group_names__returns_the_largest_parts():
    names = ['neck.a.w', 'neck.b.w', 'head.fc.w', 'head.fc.b', 'head.cls.w', 'head.cls.b']
    assert group_names(['neck.a.w', 'neck.b.w'], names) == ['neck (2)']
    assert group_names(['head.fc.w', 'head.fc.b', 'head.cls.w'], names) == ['head.fc (2)', 'head.cls.w']
