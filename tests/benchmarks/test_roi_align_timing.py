import json
import platform
from itertools import product

import pytest
import torch
from benchmarks import roi_align_timing as roi_align
from benchmarks.machine_report import instruction_sets, machine
from conftest import load_tool

SMALL = ['--strides', '16', '--output-sizes', '3', '--rois', '6', '--channels', '4', '--repeats', '1']


def test_benchmark_tool__writes_machine_and_ratios_to_mmcv(tmp_path):
    target = tmp_path / 'roi_align.json'
    load_tool('benchmark_roi_align').main([*SMALL, '--out', str(target)])
    content = json.loads(target.read_text())
    assert content['machine']['instruction_sets'] == instruction_sets()
    assert content['machine']['threads'] == torch.get_num_threads()
    rows = {(r['sampling_ratio'], r['direction'], r['model']): r for r in content['results']}
    assert {(ratio, direction) for ratio, direction, _ in rows} == set(
        product((0, 2), ('forward', 'backward'))
    )
    assert rows[0, 'forward', 'mmcv']['fastest_ratio'] == 1
    assert rows[2, 'backward', 'ours+channels_last']['seconds']['median'] > 0


def test_benchmark_tool__keeps_an_existing_file(tmp_path):
    target = tmp_path / 'roi_align.json'
    target.write_text('{}')
    with pytest.raises(SystemExit):
        load_tool('benchmark_roi_align').main([*SMALL, '--out', str(target)])
    assert target.read_text() == '{}'


@pytest.mark.parametrize('wrong', [['--rois', '0'], ['--sampling-ratios', '-1'], ['--strides', '400']])
def test_benchmark_tool__rejects_numbers_out_of_range(wrong):
    with pytest.raises(SystemExit):
        load_tool('benchmark_roi_align').parse_args(wrong)


def test_benchmark__rejects_an_implementation_with_wrong_values(monkeypatch):
    class Wrong(roi_align.RoIAlign):
        def forward(self, input, rois):
            return super().forward(input, rois) * 1.01

    monkeypatch.setattr(roi_align, 'RoIAlign', Wrong)
    with pytest.raises(ValueError, match='values differ from mmcv'):
        roi_align.benchmark_roi_align([roi_align.Case(16, 3, 0)], rois=6, channels=4, repeats=1, warmup=0)


@pytest.mark.skipif(platform.machine() != 'x86_64', reason='/proc/cpuinfo lists them on x86')
def test_machine__lists_the_instruction_sets():
    assert set(machine()['instruction_sets']) == {'avx2', 'avx512f', 'avx512_bf16', 'amx'}
    assert instruction_sets(('no_such_flag', 'sse')) == {'no_such_flag': False, 'sse': True}


def test_draw_inputs__keeps_rois_inside_the_image():
    x, rois = roi_align.draw_inputs(8, rois=200, channels=2)
    assert x.shape == (2, 2, 40, 60)
    assert rois[:, 0].unique().tolist() == [0, 1]
    assert rois[:, 1:].amin() >= 0
    assert rois[:, 3].amax() <= 480
    assert rois[:, 4].amax() <= 320
    assert (rois[:, 3:] > rois[:, 1:3]).all()
