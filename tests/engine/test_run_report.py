"""The hook that writes the report."""

from types import SimpleNamespace

import pytest
from report_runs import write_run

from eca_mmdet.engine import ReportHook
from eca_mmdet.report import EvaluationDetails, Example, read_evaluation
from eca_mmdet.report import page as page_module


class Metric:
    """A metric with details; it notes whether it was asked for examples."""

    keep_details = False

    def __init__(self):
        self.asked = []

    def evaluation_details(self, with_examples):
        self.asked.append(with_examples)
        examples = [Example('best', 'a.jpg', '')] if with_examples else []
        return (
            [EvaluationDetails('bbox', {'cat': {'AP': 0.5}}, examples=examples)] if self.keep_details else []
        )


@pytest.fixture
def runner(tmp_path):
    metrics = [Metric(), object(), Metric()]
    loop = SimpleNamespace(evaluator=SimpleNamespace(metrics=metrics))
    cfg = dict(load_from='epoch_2.pth')
    return SimpleNamespace(work_dir=str(write_run(tmp_path)), iter=40, val_loop=loop, test_loop=loop, cfg=cfg)


def test_validation__writes_results_details_and_page(runner, tmp_path):
    hook = ReportHook()
    hook.before_val(runner)
    hook.after_val_epoch(runner, {'coco/bbox_mAP': 0.25})
    content = read_evaluation(tmp_path)
    assert (content['split'], content['iteration']) == ('val', 40)
    assert [item.title for item in content['details']] == ['bbox', 'bbox']
    assert '0.250' in (tmp_path / 'report.html').read_text()


def test_evaluation__states_its_checkpoint(runner, tmp_path):
    hook = ReportHook()
    hook.before_test(runner)
    hook.after_test_epoch(runner, {'coco/bbox_mAP': 0.25})
    assert read_evaluation(tmp_path)['checkpoint'] == 'epoch_2.pth'
    assert 'tools/test.py, epoch_2.pth' in (tmp_path / 'report.html').read_text()


def test_images__are_drawn_for_the_first_metric_only(runner):
    hook = ReportHook()
    hook.before_val(runner)
    hook.after_val_epoch(runner, {})
    first, _, second = runner.val_loop.evaluator.metrics
    assert (first.asked, second.asked) == ([True], [False])


@pytest.mark.parametrize(('iteration', 'is_written'), [(40, False), (45, True)])
def test_end_of_training__refreshes_a_page_that_is_older(runner, tmp_path, iteration, is_written):
    hook = ReportHook()
    hook.after_val_epoch(runner, {})
    (tmp_path / 'report.html').unlink()
    runner.iter = iteration
    hook.after_train(runner)
    assert (tmp_path / 'report.html').exists() == is_written


def test_page_that_cannot_be_written__is_a_warning(runner, monkeypatch, mmengine_log):
    def fail(*_):
        raise RuntimeError('disk is full')

    monkeypatch.setattr(page_module, 'write_report', fail)
    ReportHook().after_val_epoch(runner, {})
    assert 'The report was not written: RuntimeError: disk is full' in mmengine_log.text


def test_other_processes__write_nothing(runner, tmp_path, monkeypatch):
    monkeypatch.setattr('mmengine.dist.utils.is_main_process', lambda *_: False)
    ReportHook().after_val_epoch(runner, {})
    assert not (tmp_path / 'report.html').exists()
