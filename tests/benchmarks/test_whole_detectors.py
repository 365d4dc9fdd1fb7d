import json
from functools import partial

import pytest
import torch
from benchmarks import Cases
from benchmarks.cases import changing_sizes, time_cases
from benchmarks.equality import check_equal
from benchmarks.whole_detectors import build_detector, compute_values, make_data
from benchmarks.workers import Round
from conftest import ROOT, load_tool

CONFIG = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')
SIZE = (64, 64)


def test_detectors__of_one_architecture_compute_equal_values():
    detectors = [build_detector(CONFIG, name, None, 'cpu') for name in ('stock', 'plain', 'naive', 'ours')]
    data = make_data(detectors[0].module, SIZE, 1, 'cpu')
    assert type(detectors[0].module.backbone).__name__ == 'ResNet'
    records = check_equal(compute_values(detector, data) for detector in detectors)
    assert [(r['model'], r['reference']) for r in records] == [('plain', 'stock'), ('ours', 'naive')]


def test_check_equal__rejects_a_detector_with_other_weights():
    naive, ours = (build_detector(CONFIG, name, None, 'cpu') for name in ('naive', 'ours'))
    torch.nn.init.zeros_(ours.module.backbone.layer3[0].eca.conv.weight)
    data = make_data(ours.module, SIZE, 1, 'cpu')
    with pytest.raises(ValueError, match='ours and naive compute different values'):
        check_equal(compute_values(detector, data) for detector in (naive, ours))


def test_detectors__keep_their_weights_and_predict_equal_boxes():
    stock, ours = (build_detector(CONFIG, name, None, 'cpu') for name in ('stock', 'ours'))
    data = make_data(stock.module, SIZE, 1, 'cpu')
    before = [parameter.detach().clone() for parameter in ours.module.parameters()]
    ours.run('train', data)
    torch.testing.assert_close(list(ours.module.parameters()), before, rtol=0, atol=0)
    boxes = [model.run('infer', data)[0].pred_instances.bboxes.clone() for model in (stock, ours)]
    assert len(boxes[0]) > 20
    torch.testing.assert_close(*boxes)


def test_build_detector__rejects_unknown_names_and_other_backbones():
    with pytest.raises(ValueError, match='expected one of'):
        build_detector(CONFIG, 'theirs', None, 'cpu')
    with pytest.raises(ValueError, match='give a config with an ECAResNet'):
        build_detector(CONFIG, 'ours', {'model.backbone.type': 'ECAMobileNetV2'}, 'cpu')


def test_changing_sizes__are_multiples_of_32_up_to_the_largest():
    sizes = changing_sizes((320, 480), 40)
    assert len(set(sizes)) >= 8
    assert {height > width for height, width in sizes} == {True, False}
    for size in sizes:
        short, long = sorted(size)
        assert short == 320 or long == 480
        assert short <= 320
        assert long <= 480
        assert short % 32 == long % 32 == 0


def test_time_cases__gives_all_models_the_same_changing_sizes():
    seen = {'stock': [], 'ours+compile': []}

    def run_round(name, mode, size, batch):
        seen[name].append(size)
        return Round(seconds=2 if name == 'stock' else 3, graphs=len(set(seen[name])) == 1)

    cases = Cases(sizes=[], batches=[1], changing=(96, 160), modes=['infer'], repeats=4, warmup=1)
    records = time_cases({name: partial(run_round, name) for name in seen}, cases, lambda line: None)
    assert list(seen.values()) == [changing_sizes((96, 160), 5)] * 2
    assert [(r['model'], r['ratio']['median']) for r in records] == [('stock', 1), ('ours+compile', 1.5)]
    assert records[1]['graphs'] == 1


def test_benchmark_tool__times_and_plots_detectors(tmp_path, monkeypatch):
    monkeypatch.setattr('benchmarks.models.BASELINES', ('stock',))  # each model starts a process
    out, plot = tmp_path / 'speed.json', tmp_path / 'speed.png'
    arguments = ['--detector', CONFIG, '--models', 'ours', '--modes', 'infer', '--batches', '1']
    arguments += ['--sizes', '64x64', '64x96', '--changing', '64x96', '--repeats', '2', '--warmup', '1']
    load_tool('benchmark').main([*arguments, '--out', str(out), '--plot', str(plot)])
    results = json.loads(out.read_text())['results']
    assert [(r['model'], r['size'], 'sizes' in r) for r in results] == [
        (model, size, changes)
        for size, changes in (([64, 64], False), ([64, 96], False), ([64, 96], True))
        for model in ('stock', 'ours')
    ]
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_benchmark_tool__measures_the_share_of_data_loading(tmp_path, capsys):
    out = tmp_path / 'loading.json'
    arguments = ['--loading', CONFIG, '--sizes', '64x64', '--repeats', '2', '--warmup', '1']
    arguments += ['--out', str(out)]
    options = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    load_tool('benchmark').main([*arguments, '--cfg-options', *options, 'train_dataloader.batch_size=1'])
    record = json.loads(out.read_text())['loading']
    assert 0 < record['share'] < 1
    assert record['n'] == 2
    assert 'wait for data' in capsys.readouterr().out
