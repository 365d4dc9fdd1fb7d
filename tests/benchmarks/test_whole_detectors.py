import json
from functools import partial

import pytest
import torch
from benchmarks import Cases
from benchmarks.cases import changing_sizes, time_cases
from benchmarks.equality import check_equal
from benchmarks.models import BASELINES
from benchmarks.whole_detectors import build_detector, synthetic_data, values
from benchmarks.workers import Round
from conftest import ROOT, load_tool

CONFIG = str(ROOT / 'configs/mask_rcnn_ecanet18_fpn_shapes.py')
SIZE = (64, 64)


def test_detectors__of_one_architecture_compute_the_same_and_stock_is_mmdet_resnet():
    rivals = [build_detector(CONFIG, name, None, 'cpu') for name in ('stock', 'plain', 'naive', 'ours')]
    data = synthetic_data(rivals[0].module, SIZE, 1, 'cpu')
    assert type(rivals[0].module.backbone).__name__ == 'ResNet'
    records = check_equal(values(rival, data) for rival in rivals)
    assert [(r['model'], r['reference']) for r in records] == [('plain', 'stock'), ('ours', 'naive')]


def test_check__refuses_a_detector_with_another_backbone():
    naive, ours = (build_detector(CONFIG, name, None, 'cpu') for name in ('naive', 'ours'))
    torch.nn.init.zeros_(ours.module.backbone.layer3[0].eca.conv.weight)
    data = synthetic_data(ours.module, SIZE, 1, 'cpu')
    with pytest.raises(ValueError, match='ours does not compute what naive does'):
        check_equal(values(rival, data) for rival in (naive, ours))


def test_step__leaves_the_weights_and_all_models_get_the_same_boxes():
    stock, ours = (build_detector(CONFIG, name, None, 'cpu') for name in ('stock', 'ours'))
    data = synthetic_data(stock.module, SIZE, 1, 'cpu')
    before = [parameter.detach().clone() for parameter in ours.module.parameters()]
    ours.run('train', data)
    torch.testing.assert_close(list(ours.module.parameters()), before, rtol=0, atol=0)
    boxes = [rival.run('infer', data)[0].pred_instances.bboxes.clone() for rival in (stock, ours)]
    assert len(boxes[0]) > 20
    torch.testing.assert_close(*boxes)


def test_models__that_cannot_be_built_are_named():
    with pytest.raises(ValueError, match='a name is one of'):
        build_detector(CONFIG, 'theirs', None, 'cpu')
    with pytest.raises(ValueError, match='give a config with an ECAResNet'):
        build_detector(CONFIG, 'ours', {'model.backbone.type': 'ECAMobileNetV2'}, 'cpu')


def test_changing_sizes__fit_the_largest_and_are_multiples_of_32():
    sizes = changing_sizes((320, 480), 40)
    assert len(set(sizes)) >= 8
    assert {height > width for height, width in sizes} == {True, False}
    for size in sizes:
        short, long = sorted(size)
        assert short == 320 or long == 480
        assert short <= 320
        assert long <= 480
        assert short % 32 == long % 32 == 0


def test_changing_sizes__are_taken_in_turn_and_together_by_all_models():
    seen = {'stock': [], 'ours+compile': []}

    def round_of(name, mode, size, batch):
        seen[name].append(size)
        return Round(seconds=2 if name == 'stock' else 3, graphs=len(set(seen[name])) == 1)

    cases = Cases(sizes=[], batches=[1], changing=(96, 160), modes=['infer'], repeats=4, warmup=1)
    records = time_cases({name: partial(round_of, name) for name in seen}, cases, lambda line: None)
    assert list(seen.values()) == [changing_sizes((96, 160), 5)] * 2
    assert [(r['model'], r['ratio']['median']) for r in records] == [('stock', 1), ('ours+compile', 1.5)]
    assert records[1]['graphs'] == 1


def test_tool__times_detectors_and_draws_them(tmp_path):
    out, plot = tmp_path / 'speed.json', tmp_path / 'speed.png'
    arguments = ['--detector', CONFIG, '--models', 'ours', '--modes', 'infer', '--batches', '1']
    arguments += ['--sizes', '64x64', '64x96', '--changing', '64x96', '--repeats', '2', '--warmup', '1']
    load_tool('benchmark').main([*arguments, '--out', str(out), '--plot', str(plot)])
    found = json.loads(out.read_text())
    assert [(r['model'], r['size'], 'sizes' in r) for r in found['results']] == [
        (model, size, changes)
        for size, changes in (([64, 64], False), ([64, 96], False), ([64, 96], True))
        for model in (*BASELINES, 'ours')
    ]
    assert plot.read_bytes().startswith(b'\x89PNG')


def test_tool__measures_the_share_of_data_loading(tmp_path, capsys):
    out = tmp_path / 'loading.json'
    arguments = [
        '--loading',
        CONFIG,
        '--sizes',
        '64x64',
        '--repeats',
        '2',
        '--warmup',
        '1',
        '--out',
        str(out),
    ]
    options = ['train_dataloader.num_workers=0', 'train_dataloader.persistent_workers=False']
    load_tool('benchmark').main([*arguments, '--cfg-options', *options, 'train_dataloader.batch_size=1'])
    found = json.loads(out.read_text())['loading']
    assert 0 < found['share'] < 1
    assert found['n'] == 2
    assert 'wait for data' in capsys.readouterr().out
