"""How tools/train.py ends when a training is interrupted."""

import signal
from types import SimpleNamespace

import pytest
from conftest import load_tool

from eca_mmdet.apis import TrainingFailedError
from eca_mmdet.engine import TrainingInterrupted

tool = load_tool('train')


@pytest.mark.parametrize(
    ('arguments', 'command'),
    [
        (['x.py'], 'x.py --resume'),
        (['x.py', '--resume', '--amp'], 'x.py --amp --resume'),
        (['x.py', '--resume', 'a.pth', '--cfg-options', 'a=b c'], "x.py --cfg-options 'a=b c' --resume"),
        (['x.py', '--resume'], 'x.py --resume'),
    ],
)
def test_resume_command__is_the_same_command_with_resume(arguments, command):
    assert tool.resume_command(arguments).endswith(f'train.py {command}')


@pytest.mark.parametrize(
    ('error', 'code', 'message'),
    [
        (
            TrainingInterrupted(signal.SIGINT, 3, 'x.pth'),
            130,
            'SIGINT after iteration 3. It is saved in',
        ),
        (TrainingInterrupted(signal.SIGTERM, 3, 'x.pth'), 143, 'x.py --resume'),
        (TrainingFailedError('disk full'), 1, 'error: disk full'),
        (KeyboardInterrupt(), 130, 'without saving'),
    ],
)
def test_train__that_stops_prints_one_message_and_has_its_own_exit_code(
    monkeypatch, capsys, error, code, message
):
    def stop(runner):
        raise error

    preparations = 'training_config', 'add_weights_hooks', 'prepare_validation', 'use_atomic_checkpoints'
    for name in (*preparations, 'add_report'):
        monkeypatch.setattr(tool, name, lambda arguments: None)
    monkeypatch.setattr(tool, 'check_run', lambda cfg, mode: None)
    monkeypatch.setattr(tool, 'build_runner', lambda cfg: SimpleNamespace(rank=1))
    monkeypatch.setattr(tool, 'train', stop)
    with pytest.raises(SystemExit) as exit_:
        tool.main(['x.py'])
    assert exit_.value.code == code
    shown = capsys.readouterr().err
    assert message in shown
    assert 'Traceback' not in shown
