"""Run tools/model_cost.py as a user would."""

import json

import pytest
from conftest import ROOT, load_tool

tool = load_tool('model_cost')
CONFIG = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')


def test_backbone__is_reported_as_table_and_json(in_tmp, capsys):
    tool.main(['--backbone', '50', '--classes', '1000', '--json', 'new/cost.json'])
    printed = capsys.readouterr().out
    total = next(line for line in printed.splitlines() if line.startswith('| total'))
    cells = [cell.strip() for cell in total.strip('|').split('|')]
    assert cells == ['total', '25,557,112', '25.56', '24.37', '25,557,112', '4.089', '3.808', '80', '86,272']
    data = json.loads((in_tmp / 'new/cost.json').read_text())
    assert (data['shape'], data['convention']) == ([224, 224], 'macs')
    assert data['total']['attention_parameters'] == 80
    assert [part['name'] for part in data['parts']][:2] == ['backbone.stem', 'backbone.layer1']


def test_config__is_built_with_options_and_shape(in_tmp, capsys):
    tool.main([CONFIG, '--shape', '64', '96', '--json', 'plain.json',
               '--cfg-options', 'model.backbone.attention=none'])  # fmt: skip
    assert '64x96' in capsys.readouterr().out
    assert json.loads((in_tmp / 'plain.json').read_text())['total']['attention_parameters'] == 0


def test_backbone__accepts_its_arguments_as_options(capsys):
    tool.main(['--backbone', '18', '--shape', '64', '--cfg-options', 'eca_kernel_sizes=3333'])
    assert '| total ' in capsys.readouterr().out


def test_table__prints_and_writes_all_published_tables(in_tmp, capsys, monkeypatch):
    from published import tables

    first = {name: table._replace(rows=table.rows[:1]) for name, table in tables.PUBLISHED.items()}
    monkeypatch.setattr('published.comparison.PUBLISHED', first)
    tool.main(['--table', '--json', 'table.json'])
    printed = capsys.readouterr().out
    data = json.loads((in_tmp / 'table.json').read_text())
    for name, row in (('imagenet', 'ECA-Net18'), ('timm', 'ecaresnet101d'), ('coco', 'Faster R-CNN R50')):
        assert f'| {row} ' in printed
        assert data[name]['rows'][0]['model'] == row


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--backbone', '51'], '--backbone 51: allowed are 18, 26, 34'),
        (['--backbone', 'resnet50'], 'ecaresnet50d'),
        (['--backbone', '18', '--shape', '1', '2', '3'], '--shape 1 2 3: give height and width'),
        (['--backbone', '18', '--shape', '0'], '--shape 0: give height and width'),
        (['--backbone', '18', '--cfg-options', 'colour=red'], 'colour'),
        (['--backbone', '18', '--cfg-options', 'eca_kernel_sizes=4'], 'positive odd integer'),
        (['--backbone', '18', '--json', '.'], '. is a folder'),
        (['--backbone', '18', '--classes', '0'], '--classes needs --backbone and must be at least 1'),
        ([CONFIG, '--classes', '10'], '--classes needs --backbone and must be at least 1'),
        (['--table', '--shape', '64'], '--table uses the image sizes'),
        ([CONFIG, '--backbone', '18'], 'not allowed with argument'),
        ([], 'one of the arguments'),
        (['nowhere.py'], 'nowhere.py: config not found'),
        (['eca_mmdet::_base_/schedule_1x.py'], 'has no `model`'),
        (
            [CONFIG, '--cfg-options', 'model.backbone.conv_cfg.type=DCN'],
            'MaskRCNN cannot run on the meta device at 800x1280',
        ),
        (['mmdet::detr/detr_r50_8xb2-150e_coco.py'], 'DETR is not supported. Supported are single-stage'),
    ],
)
def test_errors__explain_the_problem_and_exit_with_2(in_tmp, capsys, arguments, message):
    with pytest.raises(SystemExit) as exit_:
        tool.main(arguments)
    assert exit_.value.code == 2
    assert message in capsys.readouterr().err
