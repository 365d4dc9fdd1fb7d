"""Loading of configs and their options."""

import pytest

from eca_mmdet.apis import load_config, set_work_dir
from eca_mmdet.apis.config import expand_home

CONFIG = 'eca_mmdet::mask_rcnn_ecanet50_fpn_1x.py'


@pytest.mark.parametrize('root', ['/elsewhere/coco', '/elsewhere/coco/'])
def test_data_root__is_set_in_every_dataset_and_evaluator(root):
    cfg = load_config(CONFIG, dict(data_root=root))
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == '/elsewhere/coco/'
    for split in ('val', 'test'):
        assert cfg[f'{split}_evaluator'].ann_file == '/elsewhere/coco/annotations/instances_val2017.json'


def test_data_root__keeps_an_explicitly_set_root():
    options = {'data_root': '/new', 'train_dataloader.dataset.data_root': '/mine/'}
    cfg = load_config(CONFIG, options)
    assert cfg.train_dataloader.dataset.data_root == '/mine/'
    assert cfg.val_dataloader.dataset.data_root == '/new/'


def test_data_root__may_be_missing_at_the_top_level(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(
        "train_dataloader = dict(dataset=dict(data_root='old/', ann_file='a.json'))\n"
        "val_evaluator = [dict(ann_file='old/b.json'), dict(ann_file='older/c.json')]\n"
    )
    cfg = load_config(str(config), dict(data_root='/new'))
    assert cfg.train_dataloader.dataset.data_root == '/new/'
    assert [item.ann_file for item in cfg.val_evaluator] == ['/new/b.json', 'older/c.json']


def test_data_root__replaces_the_start_of_prefixes_that_contain_it(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(
        "data_root = '/old'\n"
        "train_dataloader = dict(dataset=dict(data_prefix=dict(img_path='/old/a', seg_map_path=None)))\n"
        "val_dataloader = dict(dataset=dict(data_root='/old', data_prefix=dict(img_path='old/a')))\n"
    )
    cfg = load_config(str(config), dict(data_root='/new'))
    assert cfg.train_dataloader.dataset.data_prefix == dict(img_path='/new/a', seg_map_path=None)
    assert cfg.val_dataloader.dataset == dict(data_root='/new/', data_prefix=dict(img_path='old/a'))


def test_data_root__without_datasets_is_rejected(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text('x = 1')
    with pytest.raises(ValueError, match='data_root cannot be set'):
        load_config(str(config), dict(data_root='/new'))


def test_options__are_not_modified():
    options = dict(data_root='/new')
    load_config(CONFIG, options)
    assert options == dict(data_root='/new')


def test_option__sets_a_value_in_a_part_that_is_none():
    config = 'eca_mmdet::mask_rcnn_ecanet18_fpn_shapes.py'
    options = {f'model.backbone.init_cfg.{name}': name for name in ('type', 'checkpoint')}
    assert load_config(config).model.backbone.init_cfg is None
    init = load_config(config, options).model.backbone.init_cfg
    assert init == dict(type='type', checkpoint='checkpoint')


def test_missing_config__is_reported():
    with pytest.raises(FileNotFoundError, match='nothing.py: config not found'):
        load_config('nothing.py')


def test_work_dir__is_set_by_option_config_or_name():
    cfg = load_config(CONFIG)
    set_work_dir(cfg, None, CONFIG)
    assert cfg.work_dir == 'work_dirs/mask_rcnn_ecanet50_fpn_1x'
    set_work_dir(cfg, None, 'other.py')
    assert cfg.work_dir == 'work_dirs/mask_rcnn_ecanet50_fpn_1x'
    set_work_dir(cfg, 'here', CONFIG)
    assert cfg.work_dir == 'here'


def test_option_of_a_scalar__is_reported():
    with pytest.raises(ValueError, match='--cfg-options cannot be applied to the config'):
        load_config(CONFIG, {'train_cfg.max_epochs.x': 1})


@pytest.mark.parametrize(('root', 'found'), [('', ''), (None, ''), ('/', '/'), ('s3://b', 's3://b/')])
def test_data_root__may_be_the_current_folder_or_remote(root, found):
    cfg = load_config(CONFIG, dict(data_root=root))
    assert cfg.train_dataloader.dataset.data_root == found
    assert cfg.val_evaluator.ann_file == f'{found}annotations/instances_val2017.json'


def test_data_root__ignores_sections_that_are_none(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text("train_dataloader = dict(dataset=dict(data_root='old/'))\nval_evaluator = None\n")
    assert load_config(str(config), dict(data_root='/new')).train_dataloader.dataset.data_root == '/new/'


@pytest.mark.parametrize(
    'option', ['param_scheduler.9.end', 'param_scheduler.x.end', 'data_root.x.y', 'sizes.0']
)
def test_option_with_an_invalid_path__is_reported(tmp_path, option):
    config = tmp_path / 'mine.py'
    config.write_text("param_scheduler = [dict(end=5)]\ndata_root = 'a'\nsizes = [1, 2]\n")
    with pytest.raises(ValueError, match='--cfg-options cannot be applied to the config'):
        load_config(str(config), {option: 1})


def test_unknown_option__is_warned_about_with_a_suggestion(capsys):
    load_config(CONFIG, {'load_form': 'x.pth', 'model.backbone.depth': 50, 'resume': True})
    printed = ''.join(capsys.readouterr())
    assert 'load_form has no effect' in printed
    assert 'Did you mean load_from?' in printed
    assert printed.count('has no effect') == 1


def test_home_folder__is_expanded_in_all_paths(monkeypatch):
    monkeypatch.setenv('HOME', '/home/me')
    cfg = load_config(CONFIG, {'model.backbone.init_cfg.checkpoint': '~/x.pth', 'load_from': '~/y.pth'})
    cfg.train_dataloader.dataset.data_root = '~/coco'
    cfg.custom_text = '~/kept'
    expand_home(cfg)
    assert cfg.model.backbone.init_cfg.checkpoint == '/home/me/x.pth'
    assert cfg.load_from == '/home/me/y.pth'
    assert cfg.train_dataloader.dataset.data_root == '/home/me/coco'
    assert cfg.custom_text == '~/kept'


def test_home_folder__is_expanded_in_config_path_and_work_dir(tmp_path, monkeypatch):
    """``work_dir`` is expanded before the last checkpoint is searched in it."""
    monkeypatch.setenv('HOME', str(tmp_path))
    (tmp_path / 'mine.py').write_text('x = 1')
    cfg = load_config('~/mine.py')
    assert cfg.x == 1
    set_work_dir(cfg, '~/work', '~/mine.py')
    assert cfg.work_dir == f'{tmp_path}/work'
    cfg.work_dir = '~/other'
    set_work_dir(cfg, None, '~/mine.py')
    assert cfg.work_dir == f'{tmp_path}/other'
