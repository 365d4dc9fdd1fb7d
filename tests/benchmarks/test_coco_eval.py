import json

import pytest
from benchmarks import coco_eval
from conftest import load_tool

pytest.importorskip('hotcoco')


@pytest.fixture(scope='module')
def found():
    return coco_eval.benchmark_coco_eval(images=3, repeats=1, warmup=0)


def test_benchmark__compares_all_backends_over_both_spans(found):
    rows = {(row['span'], row['kind'], row['backend']): row for row in found['results']}
    for kind in ('bbox', 'segm'):
        for span in ('evaluate', 'metric'):
            row = rows[span, kind, 'hotcoco']
            assert row['largest_difference'] == 0
            assert len(row['numbers']) == 12
            assert row['seconds']['median'] > 0
            assert rows[span, kind, 'pycocotools']['speedup']['median'] == 1


def test_benchmark__says_what_it_ran_on(found):
    assert found['data']['images'] == 3
    assert found['data']['detections'] > found['data']['annotations'] > 3
    assert {'pycocotools', 'hotcoco', 'numpy'} <= set(found['versions'])


def test_benchmark__tells_a_wrong_digit(monkeypatch):
    wrong = lambda *args: coco_eval._pycocotools(*args) + 1e-16  # noqa: E731
    monkeypatch.setitem(coco_eval.BACKENDS, 'hotcoco', wrong)
    found = coco_eval.benchmark_coco_eval(images=2, repeats=1, warmup=0)
    lines = [line for line in coco_eval.coco_eval_text(found).splitlines() if 'evaluate' in line]
    assert ['differ by' in line for line in lines if 'hotcoco' in line] == [True, True]
    assert all(line.endswith('equal') for line in lines if 'pycocotools' in line)


def test_tool__writes_machine_command_and_results(tmp_path, monkeypatch):
    target = tmp_path / 'coco_eval.json'
    arguments = ['--images', '2', '--repeats', '1', '--warmup', '0', '--out', str(target)]
    load_tool('benchmark_coco_eval').main(arguments)
    content = json.loads(target.read_text())
    assert {'command', 'machine', 'versions', 'data', 'results'} <= set(content)
    with pytest.raises(SystemExit):
        load_tool('benchmark_coco_eval').main(arguments)  # it is kept
