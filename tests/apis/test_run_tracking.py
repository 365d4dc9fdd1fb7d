"""The report hook, TensorBoard and Weights & Biases in the config of a run."""

import pytest
from mmengine.config import Config

from eca_mmdet.apis import add_report, run_tracking, use_tensorboard, use_wandb


@pytest.fixture
def cfg(tmp_path):
    return Config(dict(work_dir=str(tmp_path / 'run'), default_scope='mmdet'))


@pytest.fixture
def packages(monkeypatch):
    """Both packages are installed; there is no key."""
    monkeypatch.setattr(run_tracking, 'is_installed', lambda name: True)
    monkeypatch.setattr(run_tracking.netrc, 'netrc', lambda: (_ for _ in ()).throw(FileNotFoundError()))
    for name in ('WANDB_MODE', 'WANDB_API_KEY'):
        monkeypatch.delenv(name, raising=False)


def backends(cfg):
    return {item['type']: item for item in cfg.visualizer['vis_backends']}


def test_report__is_added_once(cfg):
    cfg.custom_hooks = [dict(type='LearningRateHook')]
    add_report(cfg)
    add_report(cfg)
    assert [hook['type'] for hook in cfg.custom_hooks] == ['LearningRateHook', 'ReportHook']


@pytest.mark.parametrize(('use', 'name'), [(use_tensorboard, 'tensorboard'), (use_wandb, 'wandb')])
def test_missing_package__is_named_with_the_command_that_installs_it(cfg, monkeypatch, use, name):
    monkeypatch.setattr(run_tracking, 'is_installed', lambda name: False)
    with pytest.raises(ValueError, match=rf'--{name} needs {name}.*not installed:\n    pip install {name}'):
        use(cfg)


def test_backends__keep_those_of_the_config_and_the_local_one(cfg, packages):
    use_tensorboard(cfg)
    use_tensorboard(cfg)
    use_wandb(cfg)
    assert list(backends(cfg)) == ['LocalVisBackend', 'TensorboardVisBackend', 'WandbVisBackend']
    cfg.visualizer = dict(type='DetLocalVisualizer', name='x', vis_backends=[dict(type='LocalVisBackend')])
    use_tensorboard(cfg)
    assert list(backends(cfg)) == ['LocalVisBackend', 'TensorboardVisBackend']
    assert (cfg.visualizer['type'], cfg.visualizer['name']) == ('DetLocalVisualizer', 'x')


def test_wandb_without_a_key__is_offline_and_says_how_to_upload(cfg, packages, mmengine_log):
    use_wandb(cfg)
    settings = backends(cfg)['WandbVisBackend']['init_kwargs']
    assert settings == dict(project='eca_mmdet', name='run', mode='offline')
    assert 'wandb sync' in mmengine_log.text


@pytest.mark.parametrize('name', ['WANDB_API_KEY', 'WANDB_MODE'])
def test_wandb_with_a_key_or_a_mode__keeps_the_mode(cfg, packages, monkeypatch, name):
    monkeypatch.setenv(name, 'offline')
    use_wandb(cfg)
    assert 'mode' not in backends(cfg)['WandbVisBackend']['init_kwargs']
