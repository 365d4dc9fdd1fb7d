"""Files that cannot be read or written during a training: one message, and complete checkpoints stay."""

import errno

import pytest
from tiny_runs import RandomNumbers, tiny_runner, train_dataloader

from eca_mmdet import atomic_write
from eca_mmdet.apis import TrainingFailedError, train
from eca_mmdet.checkpoints import read_checkpoint


@pytest.mark.parametrize(
    ('number', 'advice'),
    [
        (errno.ENOSPC, 'free disk space'),
        (errno.EROFS, 'read-only'),
        (errno.EACCES, 'make the folder writable'),
    ],
)
def test_writing__that_fails_names_file_reason_and_what_to_do(tmp_path, monkeypatch, number, advice):
    train(tiny_runner(tmp_path, epochs=1))

    def fail(path):
        raise OSError(number, 'the reason')

    monkeypatch.setattr(atomic_write, 'flush_to_disk', fail)
    with pytest.raises(TrainingFailedError) as error:
        train(tiny_runner(tmp_path, epochs=2, resume=True))
    message = str(error.value)
    assert f"the reason: '{tmp_path}/epoch_2.pth'" in message
    assert f'last checkpoint  {tmp_path}/epoch_1.pth' in message
    assert advice in message
    assert read_checkpoint(tmp_path / 'epoch_1.pth')['meta']['epoch'] == 1
    assert not list(tmp_path.glob('.*'))


@pytest.mark.parametrize('workers', [0, 1])
def test_data__that_vanishes_is_named_in_one_message(tmp_path, monkeypatch, workers):
    def fail(dataset, index):
        raise FileNotFoundError(errno.ENOENT, 'No such file or directory', 'data/1.jpg')

    monkeypatch.setattr(RandomNumbers, '__getitem__', fail)
    with pytest.raises(TrainingFailedError) as error:
        train(tiny_runner(tmp_path, train_dataloader=train_dataloader(num_workers=workers)))
    lines = str(error.value).splitlines()
    assert "No such file or directory: 'data/1.jpg'" in lines[0]
    assert 'bring the file or folder back' in lines[2]
    assert len(lines) == 3
