import pytest

from eca_mmdet.apis import load_config, set_work_dir

CONFIG = 'eca_mmdet::mask_rcnn_ecanet50_fpn_1x.py'


@pytest.mark.parametrize('root', ['/elsewhere/coco', '/elsewhere/coco/'])
def test_data_root__reaches_every_data_set_and_evaluator(root):
    cfg = load_config(CONFIG, dict(data_root=root))
    for split in ('train', 'val', 'test'):
        assert cfg[f'{split}_dataloader'].dataset.data_root == '/elsewhere/coco/'
    for split in ('val', 'test'):
        assert cfg[f'{split}_evaluator'].ann_file == '/elsewhere/coco/annotations/instances_val2017.json'


def test_data_root__leaves_a_data_set_with_another_root_alone():
    options = {'data_root': '/new', 'train_dataloader.dataset.data_root': '/mine/'}
    cfg = load_config(CONFIG, options)
    assert cfg.train_dataloader.dataset.data_root == '/mine/'
    assert cfg.val_dataloader.dataset.data_root == '/new/'


def test_data_root__is_set_where_the_config_has_none_at_the_top(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text(
        "train_dataloader = dict(dataset=dict(data_root='old/', ann_file='a.json'))\n"
        "val_evaluator = [dict(ann_file='old/b.json'), dict(ann_file='older/c.json')]\n"
    )
    cfg = load_config(str(config), dict(data_root='/new'))
    assert cfg.train_dataloader.dataset.data_root == '/new/'
    assert [item.ann_file for item in cfg.val_evaluator] == ['/new/b.json', 'older/c.json']


def test_data_root__that_reaches_nothing_is_an_error(tmp_path):
    config = tmp_path / 'mine.py'
    config.write_text('x = 1')
    with pytest.raises(ValueError, match='data_root cannot be set'):
        load_config(str(config), dict(data_root='/new'))


def test_options__are_not_changed():
    options = dict(data_root='/new')
    load_config(CONFIG, options)
    assert options == dict(data_root='/new')


def test_missing_config__is_named():
    with pytest.raises(FileNotFoundError, match='nothing.py: no such config'):
        load_config('nothing.py')


def test_work_dir__is_the_option_else_the_configs_else_the_name():
    cfg = load_config(CONFIG)
    set_work_dir(cfg, None, CONFIG)
    assert cfg.work_dir == 'work_dirs/mask_rcnn_ecanet50_fpn_1x'
    set_work_dir(cfg, None, 'other.py')
    assert cfg.work_dir == 'work_dirs/mask_rcnn_ecanet50_fpn_1x'
    set_work_dir(cfg, 'here', CONFIG)
    assert cfg.work_dir == 'here'


def test_options_that_do_not_fit__are_named():
    with pytest.raises(ValueError, match='--cfg-options do not fit the config'):
        load_config(CONFIG, {'train_cfg.max_epochs.x': 1})
