"""Reading the history of a run from its work directory."""

import json

import pytest
from report_runs import train_record, write_run, write_training

from eca_mmdet.report import read_run, read_runs


def steps(records):
    return [record['step'] for record in records]


def test_validations__are_at_the_iteration_that_the_training_had_reached(tmp_path):
    run = read_run(write_run(tmp_path / 'a'))
    assert steps(run.training) == [10, 20, 30, 40]
    assert steps(run.validations) == [20, 40]


def test_resumed_training__replaces_what_it_repeats(tmp_path):
    write_run(tmp_path)
    records = [train_record(30, note='new'), train_record(50)]
    run = read_run(write_training(tmp_path, '20260102_000000', records, 'resume = True\n'))
    assert steps(run.training) == [10, 20, 30, 50]
    assert run.training[2]['note'] == 'new'
    assert steps(run.validations) == [20]


def test_new_training__replaces_an_earlier_one(tmp_path):
    write_run(tmp_path)
    run = read_run(write_training(tmp_path, '20260102_000000', [train_record(30)], 'resume = False\n'))
    assert steps(run.training) == [30]
    assert run.validations == []


def test_evaluation__does_not_change_the_config_of_the_training(tmp_path):
    write_run(tmp_path)
    later = tmp_path / '20260103_000000/vis_data'
    later.mkdir(parents=True)
    (later / 'config.py').write_text('model = dict(depth=99)\n')
    assert read_run(tmp_path).config['model'] == dict(depth=18)


def test_unfinished_last_line__is_left_out(tmp_path):
    write_run(tmp_path)
    log = tmp_path / '20260101_000000/vis_data/scalars.json'
    log.write_text(log.read_text() + '{"loss": 0.')
    assert steps(read_run(tmp_path).training) == [10, 20, 30, 40]


def test_results__are_those_of_tools_test_else_of_the_last_validation(tmp_path):
    write_run(tmp_path)
    assert read_run(tmp_path).results.ap == {'bbox': {'AP': 0.4, 'AP50': 0.4}}
    content = dict(checkpoint='x.pth', results=dict(bbox=dict(AP=0.7, AP50=None, per_class={})))
    (tmp_path / 'results.json').write_text(json.dumps(content))
    run = read_run(tmp_path)
    assert run.results.ap == {'bbox': {'AP': 0.7, 'AP50': None}}
    assert run.evaluation == dict(split='test', checkpoint='x.pth')


def test_runs_of_the_same_name__are_named_by_their_path(tmp_path):
    paths = [write_run(tmp_path / name / 'run') for name in 'ab']
    assert [run.name for run in read_runs(paths)] == [str(path) for path in paths]


def test_the_same_folder_twice__is_one_run(tmp_path):
    write_run(tmp_path)
    assert len(read_runs([tmp_path, str(tmp_path)])) == 1


@pytest.mark.parametrize(
    ('prepare', 'error', 'message'),
    [
        (lambda folder: folder.rmdir(), FileNotFoundError, 'no such folder'),
        (lambda folder: None, ValueError, 'holds no run'),
        (lambda folder: (folder / 'results.json').write_text('{'), ValueError, r'results.json is damaged'),
        (
            lambda folder: (folder / 'evaluation.json').write_text('[]'),
            ValueError,
            r'evaluation.json is damaged',
        ),
    ],
)
def test_folder_without_a_readable_run__is_refused(tmp_path, prepare, error, message):
    folder = tmp_path / 'work'
    folder.mkdir()
    prepare(folder)
    with pytest.raises(error, match=message):
        read_run(folder)
