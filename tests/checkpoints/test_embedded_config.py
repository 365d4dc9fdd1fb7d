"""The config in a checkpoint is read as data; nothing in it is executed."""

import pytest
from mmengine.config import Config

from eca_mmdet.checkpoints.embedded_config import read_config_text


@pytest.mark.parametrize('name', ['mask_rcnn_ecanet50_fpn_1x.py', 'mask_rcnn_ecanet18_fpn_shapes.py'])
def test_config_of_mmengine__is_read_with_all_values(name):
    cfg = Config.fromfile(Config._get_cfg_path(f'eca_mmdet::{name}', '')[0])
    read = read_config_text(cfg.pretty_text)
    assert read.test_dataloader.batch_size == cfg.test_dataloader.batch_size
    assert read.model.roi_head == cfg.model.roi_head
    assert read.optim_wrapper == cfg.optim_wrapper
    assert 'custom_imports' not in read
    assert 'init_cfg' not in read.model.backbone


def test_numbers__may_be_negative_and_infinite():
    read = read_config_text("a = dict(x=-1, y=inf, z=(1, -2.5), w={'k': None})")
    assert read.a == dict(x=-1, y=float('inf'), z=(1, -2.5), w=dict(k=None))


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        "a = __import__('os').system('touch {file}')",
        "a = open('{file}', 'w')",
        'a = [x for x in range(3)]',
        "a = dict(*[('x', 1)])",
        "a = dict(**{{'x': 1}})",
        "exec('1')",
        'a = b = 1',
        'a = (lambda: 1)()',
        "a = f'{{1}}'",
        'def f(): pass',
        'a = 2 ** 10 ** 10',
        '(' * 5000 + ')' * 5000,
        'a = ' + '-' * 100000 + '1',
    ],
)
def test_anything_but_literals__is_refused_and_not_executed(text, tmp_path):
    file = tmp_path / 'made'
    with pytest.raises(ValueError, match='its config'):
        read_config_text(text.format(file=file))
    assert not file.exists()


@pytest.mark.parametrize('kind', ['os.system', 'subprocess.Popen', 'mmdet.models.os', '', 3, 'a b'])
def test_type__that_is_no_registered_name_is_refused(kind):
    with pytest.raises(ValueError, match='not the name of a registered class'):
        read_config_text(f'model = dict(head=[dict(type={kind!r})])')


@pytest.mark.parametrize('text', [None, b'a = 1', 'a = ' + '1' * 2_000_001])
def test_other_objects_and_huge_texts__are_refused(text):
    with pytest.raises(ValueError, match='not a text of at most'):
        read_config_text(text)
