"""Ctrl-C and SIGTERM: the run is saved, stops, and continues as if nothing had happened."""

import os
import signal
from pathlib import Path

import pytest
import torch
from mmengine.hooks import Hook
from tiny_runs import tiny_runner, train_dataloader, with_evaluation

from eca_mmdet.apis import train
from eca_mmdet.apis.make_resumable import make_resumable
from eca_mmdet.checkpoints import read_checkpoint, read_pointer
from eca_mmdet.engine import TrainingInterrupted


class SignalAt(Hook):
    """Send signals to this process, at an iteration of the training or of an evaluation."""

    def __init__(self, iteration, *numbers, in_evaluation=False):
        self.iteration, self.numbers, self.in_evaluation = iteration, numbers, in_evaluation

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self._send(runner, not self.in_evaluation)

    def before_val_iter(self, runner, batch_idx, data_batch=None):
        self._send(runner, self.in_evaluation)

    def _send(self, runner, is_here):
        if is_here and runner.iter == self.iteration:
            for number in self.numbers:
                os.kill(os.getpid(), number)


def run(work_dir, hook=None, **options):
    runner = tiny_runner(work_dir, **options)
    make_resumable(runner)
    if hook:
        runner.register_hook(hook)
    train(runner)


def weights(work_dir):
    checkpoint = read_checkpoint(read_pointer(work_dir))
    return {key: checkpoint[key] for key in ('state_dict', 'optimizer', 'ema_state_dict')}


AVERAGED = dict(custom_hooks=[dict(type='EMAHook', momentum=0.1)])


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(('iteration', 'in_evaluation'), [(0, False), (7, False), (9, False), (10, True)])
def test_signal__saves_stops_and_the_resumed_run_ends_with_the_same_weights(
    tmp_path, number, iteration, in_evaluation
):
    options = {**with_evaluation(), **AVERAGED, 'epochs': 3}
    run(tmp_path / 'whole', **options)
    with pytest.raises(TrainingInterrupted) as stop:
        run(tmp_path / 'a', SignalAt(iteration, number, in_evaluation=in_evaluation), **options)
    assert stop.value.exit_code == 128 + number
    assert f'by {number.name} after iteration {iteration + (not in_evaluation)}.' in str(stop.value)
    run(tmp_path / 'a', resume=True, **options)
    torch.testing.assert_close(weights(tmp_path / 'a'), weights(tmp_path / 'whole'), rtol=0, atol=0)
    assert not list((tmp_path / 'a').glob('interrupted*'))


def test_signal_in_an_evaluation__of_an_unsaved_iteration_saves_the_trained_weights(tmp_path):
    """The model holds the averaged weights during an evaluation."""
    options = {**with_evaluation(), **AVERAGED, 'epochs': 3, 'checkpoint': dict(interval=5)}
    run(tmp_path / 'whole', **options)
    with pytest.raises(TrainingInterrupted):
        run(tmp_path / 'a', SignalAt(10, signal.SIGTERM, in_evaluation=True), **options)
    run(tmp_path / 'a', resume=True, **options)
    torch.testing.assert_close(weights(tmp_path / 'a'), weights(tmp_path / 'whole'), rtol=0, atol=0)


def test_second_ctrl_c__stops_at_once(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, SignalAt(3, signal.SIGINT, signal.SIGINT))
    assert not list(tmp_path.glob('*.pth'))


def test_handlers__are_restored_after_the_training(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(tmp_path, epochs=1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


class SignalTheGroup(Hook):
    """Send Ctrl-C to the worker processes, as a terminal does."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == 1:
            children = f'/proc/{os.getpid()}/task/{os.getpid()}/children'
            for child in Path(children).read_text().split():
                os.kill(int(child), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c__of_worker_processes_prints_no_traceback(tmp_path, capfd):
    loader = train_dataloader(num_workers=1, persistent_workers=True)
    with pytest.raises(TrainingInterrupted):
        run(tmp_path, SignalTheGroup(), train_dataloader=loader)
    assert 'Traceback' not in capfd.readouterr().err
