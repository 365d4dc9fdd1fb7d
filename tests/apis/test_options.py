"""Each command-line option changes only its own entry of the config."""

import pytest
import torch
from conftest import load_tool

from eca_mmdet.apis import resume_from

train = load_tool('train')

CONFIG = """
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', lr=0.02),
    accumulative_counts=4,
    clip_grad=dict(max_norm=35, norm_type=2),
)
randomness = dict(seed=7, deterministic=True, diff_rank_seed=True)
auto_scale_lr = dict(enable=True, base_batch_size=16)
custom_hooks = [dict(type='EMAHook', momentum=0.001)]
load_from = 'weights.pth'
resume = False
launcher = 'none'
work_dir = 'own'
"""


@pytest.fixture(autouse=True)
def _no_local_rank(monkeypatch):
    monkeypatch.setenv('LOCAL_RANK', '0')


@pytest.fixture
def on_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


def flatten(node, prefix=''):
    """Return the leaves of a config by dotted name."""
    if not isinstance(node, (dict, list)):
        return {prefix: node}
    items = node.items() if isinstance(node, dict) else enumerate(node)
    return {k: v for name, value in items for k, v in flatten(value, f'{prefix}.{name}'.lstrip('.')).items()}


def config(folder, *options, text=CONFIG):
    (folder / 'config.py').write_text(text)
    args = train.parse_args([str(folder / 'config.py'), *options])
    cfg = train.training_config(args)
    if args.resume:
        resume_from(cfg, args.resume)
    return cfg


def changes(folder, *options, text=CONFIG):
    """Return the leaves of a config that options change, with ``None`` for removed leaves."""
    plain, changed = (flatten(config(folder, *o, text=text).to_dict()) for o in ([], options))
    return {k: changed.get(k) for k in {**plain, **changed} if plain.get(k) != changed.get(k)}


@pytest.mark.parametrize(
    ('options', 'expected'),
    [
        (['--seed', '0'], {'randomness.seed': 0}),
        (['--no-auto-scale-lr'], {'auto_scale_lr.enable': False}),
        (['--work-dir', 'other'], {'work_dir': 'other'}),
        (['--launcher', 'pytorch'], {'launcher': 'pytorch'}),
        (['--local_rank', '1'], {}),
        (['--resume', 'x.pth'], {'resume': True, 'load_from': 'x.pth'}),
        (['--cfg-options', 'optim_wrapper.optimizer.lr=0.1'], {'optim_wrapper.optimizer.lr': 0.1}),
    ],
)
def test_option__changes_only_its_own_entry(in_tmp, options, expected):
    assert changes(in_tmp, *options) == expected


def test_amp_on_gpu__changes_the_wrapper_type_and_keeps_its_arguments(in_tmp, on_gpu):
    expected = {'optim_wrapper.type': 'AmpOptimWrapper', 'optim_wrapper.loss_scale': 'dynamic'}
    assert changes(in_tmp, '--amp') == expected


def test_amp_on_gpu__keeps_an_amp_wrapper(in_tmp, on_gpu):
    own = "type='AmpOptimWrapper', dtype='bfloat16', loss_scale=512.,"
    assert changes(in_tmp, '--amp', text=CONFIG.replace("type='OptimWrapper',", own)) == {}


def test_amp_on_gpu__accepts_a_wrapper_without_type(in_tmp, on_gpu):
    text = CONFIG.replace("type='OptimWrapper',", '')
    assert changes(in_tmp, '--amp', text=text)['optim_wrapper.type'] == 'AmpOptimWrapper'


@pytest.mark.parametrize(
    ('old', 'new', 'found'),
    [
        ("type='OptimWrapper',", "type='ApexOptimWrapper', opt_level='O1',", 'ApexOptimWrapper'),
        ("type='OptimWrapper',\n    optimizer=", 'constructor="Mine",\n    generator=', 'several optimizers'),
    ],
)
def test_amp_on_gpu__does_not_replace_a_custom_wrapper(in_tmp, on_gpu, old, new, found):
    with pytest.raises(ValueError, match=f'--amp needs an optim_wrapper .*{found}. Remove --amp'):
        config(in_tmp, '--amp', text=CONFIG.replace(old, new))


def test_amp_on_cpu__appends_the_autocast_hook(in_tmp, on_cpu):
    assert changes(in_tmp, '--amp') == {'custom_hooks.1.type': 'AutocastHook'}


@pytest.mark.parametrize('name', ['AutocastHook', 'mmdet.AutocastHook'])
def test_amp_on_cpu__adds_no_second_autocast_hook(in_tmp, on_cpu, name):
    text = CONFIG.replace("dict(type='EMAHook', momentum=0.001)", f"dict(type='{name}', parts=['neck'])")
    assert changes(in_tmp, '--amp', text=text) == {}


def test_seed__needs_no_randomness_in_the_config(in_tmp):
    assert changes(in_tmp, '--seed', '3', text='work_dir = "own"') == {'randomness.seed': 3}


def test_no_auto_scale_lr__adds_nothing_to_a_config_without_scaling(in_tmp):
    assert changes(in_tmp, '--no-auto-scale-lr', text='work_dir = "own"') == {}


def test_launcher__is_taken_from_the_config_by_default(in_tmp):
    assert config(in_tmp, text="launcher = 'pytorch'").launcher == 'pytorch'


def test_launcher__none_overrides_the_config(in_tmp):
    assert config(in_tmp, '--launcher', 'none', text="launcher = 'pytorch'").launcher == 'none'


def test_resume__prefers_the_last_checkpoint_to_load_from(in_tmp):
    (in_tmp / 'own').mkdir()
    (in_tmp / 'own/last_checkpoint').write_text('epoch_1.pth')
    save_training(in_tmp / 'own/epoch_1.pth')
    assert changes(in_tmp, '--resume') == {'resume': True, 'load_from': 'own/epoch_1.pth'}


def save_training(path, **meta):
    torch.save(dict(meta=meta, message_hub={}, optimizer={}, state_dict={}), path)


@pytest.mark.parametrize('more', [[], ['--seed', '5']])
def test_resume__keeps_the_seed_of_the_checkpoint(in_tmp, more):
    save_training(in_tmp / 'x.pth', seed=3)
    assert changes(in_tmp, '--resume', 'x.pth', *more)['randomness.seed'] == 3


def test_resume__without_a_checkpoint_starts_from_load_from(in_tmp):
    assert changes(in_tmp, '--resume') == {}


def test_resume__without_a_checkpoint_and_load_from_is_kept(in_tmp):
    assert changes(in_tmp, '--resume', text=CONFIG.replace("'weights.pth'", 'None')) == {'resume': True}
