import json

import pytest
from benchmarks import coco_eval
from conftest import load_tool

pytest.importorskip('hotcoco')


@pytest.fixture(scope='module')
def content():
    return coco_eval.benchmark_coco_eval(images=3, repeats=1, warmup=0)


def test_benchmark__compares_all_backends_over_both_spans(content):
    rows = {(row['span'], row['kind'], row['backend']): row for row in content['results']}
    for iou_type in ('bbox', 'segm'):
        for span in ('evaluate', 'metric'):
            row = rows[span, iou_type, 'hotcoco']
            assert row['largest_difference'] == 0
            assert len(row['numbers']) == 12
            assert row['seconds']['median'] > 0
            assert rows[span, iou_type, 'pycocotools']['speedup']['median'] == 1


def test_benchmark__describes_its_data_and_software(content):
    assert content['data']['images'] == 3
    assert content['data']['detections'] > content['data']['annotations'] > 3
    assert {'pycocotools', 'hotcoco', 'numpy'} <= set(content['versions'])


def test_benchmark__reports_the_smallest_difference_between_backends(monkeypatch):
    wrong = lambda *args: coco_eval._pycocotools(*args) + 1e-16  # noqa: E731
    monkeypatch.setitem(coco_eval.BACKENDS, 'hotcoco', wrong)
    content = coco_eval.benchmark_coco_eval(images=2, repeats=1, warmup=0)
    lines = [line for line in coco_eval.coco_eval_text(content).splitlines() if 'evaluate' in line]
    assert ['differ by' in line for line in lines if 'hotcoco' in line] == [True, True]
    assert [line.endswith(' equal |') for line in lines if 'pycocotools' in line] == [True, True]


def test_benchmark_tool__writes_results_and_keeps_existing_files(tmp_path, monkeypatch):
    target = tmp_path / 'coco_eval.json'
    arguments = ['--images', '2', '--repeats', '1', '--warmup', '0', '--out', str(target)]
    load_tool('benchmark_coco_eval').main(arguments)
    content = json.loads(target.read_text())
    assert {'command', 'machine', 'versions', 'data', 'results'} <= set(content)
    with pytest.raises(SystemExit):
        load_tool('benchmark_coco_eval').main(arguments)
    assert json.loads(target.read_text()) == content
