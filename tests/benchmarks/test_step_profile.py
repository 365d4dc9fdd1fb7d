import json

import pytest
from benchmarks.step_profile import GROUPS
from conftest import ROOT, load_tool

CONFIG = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')


def test_profile_tool__writes_and_plots_the_time_of_each_group(tmp_path, capsys):
    out, plot = tmp_path / 'profile.json', tmp_path / 'profile.png'
    arguments = ['--profile', CONFIG, '--sizes', '64x64', '--batches', '1', '--repeats', '1', '--warmup', '1']
    load_tool('benchmark').main([*arguments, '--out', str(out), '--plot', str(plot)])
    records = json.loads(out.read_text())['profiles']
    assert [(r['model'], r['mode']) for r in records] == [
        (model, mode) for model in ('stock', 'ours') for mode in ('train', 'infer')
    ]
    for record in records:
        assert list(record['groups']) == list(GROUPS)
        assert sum(record['groups'].values()) == pytest.approx(record['seconds'], rel=0.3)
        assert min(record['groups'][name] for name in ('convolutions', 'RoIAlign', 'matrix products')) > 0
        assert (record['groups']['optimizer'] > 0) == (record['mode'] == 'train')
    assert plot.read_bytes().startswith(b'\x89PNG')
    assert 'RoIAlign' in capsys.readouterr().out
