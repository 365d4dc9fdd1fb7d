import json

import pytest
from benchmarks.pretraining import plot_curves, read_curve
from conftest import load_tool


def write_log(work, name, *values):
    folder = work / name / 'vis_data'
    folder.mkdir(parents=True)
    lines = [json.dumps(dict(loss=1.0, step=5))]
    lines += [
        json.dumps({'coco/bbox_mAP': value, 'coco/segm_mAP': value / 2, 'step': epoch})
        for epoch, value in enumerate(values, 1)
    ]
    (folder / 'scalars.json').write_text('\n'.join(lines) + '\n')


def test_curve__is_that_of_the_newest_log(tmp_path):
    write_log(tmp_path, '20260101_000000', 0.9)
    write_log(tmp_path, '20260102_000000', 0.2, 0.4)
    assert read_curve(tmp_path) == [
        {'epoch': 1, 'bbox AP': 0.2, 'segm AP': 0.1},
        {'epoch': 2, 'bbox AP': 0.4, 'segm AP': 0.2},
    ]


def test_curve__needs_an_evaluation(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no log'):
        read_curve(tmp_path)
    write_log(tmp_path, '20260101_000000')
    with pytest.raises(ValueError, match='has no evaluation.*val_interval=1'):
        read_curve(tmp_path)


def test_plot__has_a_line_per_run_and_metric(tmp_path, monkeypatch):
    from matplotlib.figure import Figure

    saved = []
    monkeypatch.setattr(Figure, 'savefig', lambda figure, path, **_: saved.append(figure))
    curve = [{'epoch': 1, 'bbox AP': 0.2, 'segm AP': 0.1}, {'epoch': 2, 'bbox AP': 0.4, 'segm AP': 0.2}]
    plot_curves(dict(scratch=curve, pretrained=curve), tmp_path / 'x.png')
    (figure,) = saved
    assert [axes.get_ylabel() for axes in figure.axes] == ['bbox AP', 'segm AP']
    assert [list(line.get_ydata()) for line in figure.axes[1].lines] == [[0.1, 0.2]] * 2


def test_tool__writes_curves_commands_and_machine(tmp_path):
    write_log(tmp_path / 'a', '20260101_000000', 0.2)
    out = tmp_path / 'out'
    load_tool('benchmark_pretraining').main([str(out), f'scratch={tmp_path / "a"}', '--command', 'x'])
    record = json.loads(out.with_suffix('.json').read_text())
    assert record['commands'] == ['x']
    assert record['runs'] == dict(scratch=[{'epoch': 1, 'bbox AP': 0.2, 'segm AP': 0.1}])
    assert record['machine']['cores']
    assert out.with_suffix('.png').is_file()
