import io
import os
import pickle

import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer

from eca_mmdet.checkpoints import io as checkpoint_io
from eca_mmdet.checkpoints import read_checkpoint, write_checkpoint

ran = []


class Hostile:
    def __reduce__(self):
        return ran.append, ('code from the file ran',)


def save(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize('zipped', [True, False])
def test_read__executes_no_code_of_the_file(tmp_path, zipped):
    path = save(
        tmp_path / 'hostile.pth', dict(state_dict={}, extra=Hostile()), _use_new_zipfile_serialization=zipped
    )
    with pytest.raises(ValueError, match='only code from the file could build'):
        read_checkpoint(path)
    assert ran == []


@pytest.mark.parametrize('zipped', [True, False])
def test_read__returns_tensors_of_both_torch_formats(tmp_path, zipped):
    path = save(tmp_path / 'a.pth', dict(w=torch.arange(3.0)), _use_new_zipfile_serialization=zipped)
    torch.testing.assert_close(read_checkpoint(path)['w'], torch.arange(3.0))


def test_read__accepts_mmengines_training_state(tmp_path):
    path = save(tmp_path / 'a.pth', dict(history=HistoryBuffer([1.0, 2.0], [1, 1])))
    assert read_checkpoint(path)['history'].mean() == 1.5


def _truncated(path):
    buffer = io.BytesIO()
    torch.save(dict(w=torch.zeros(1000)), buffer)
    path.write_bytes(buffer.getvalue()[:1500])


class Attribute:
    """Asks the reader for any attribute of an allowed class."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, 'register_statistics')


def test_read__gives_no_other_attribute_than_the_historys_statistics(tmp_path):
    path = save(tmp_path / 'a.pth', dict(x=Attribute()))
    with pytest.raises(ValueError, match='getattr is refused'):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ('make', 'error', 'message'),
    [
        (lambda path: None, FileNotFoundError, 'no such file'),
        (lambda path: path.mkdir(), ValueError, 'is a folder'),
        (lambda path: path.touch(), ValueError, 'is empty'),
        (_truncated, ValueError, 'truncated checkpoint'),
        (lambda path: path.write_bytes(os.urandom(500)), ValueError, 'not a torch checkpoint'),
        (lambda path: path.write_text('<!DOCTYPE html><html>'), ValueError, 'a web page'),
        (
            lambda path: path.write_bytes(pickle.dumps(dict(a=1))),
            ValueError,
            'checkpoint; get the file again',
        ),
    ],
)
def test_read__names_what_is_wrong_with_a_file(tmp_path, make, error, message):
    path = tmp_path / 'x.pth'
    make(path)
    with pytest.raises(error, match=message) as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


def test_write__keeps_an_existing_target(tmp_path):
    path = save(tmp_path / 'a.pth', dict(w=torch.ones(1)))
    with pytest.raises(FileExistsError, match='--overwrite'):
        write_checkpoint(dict(w=torch.zeros(1)), path)
    assert read_checkpoint(path)['w'] == 1
    write_checkpoint(dict(w=torch.zeros(1)), path, overwrite=True)
    assert read_checkpoint(path)['w'] == 0


def test_write__leaves_nothing_when_it_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_io.torch, 'save', lambda obj, file: (file.write(b'half'), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        write_checkpoint({}, tmp_path / 'sub' / 'a.pth')
    assert list((tmp_path / 'sub').iterdir()) == []


def test_write__under_a_file_is_an_error_before_anything_is_made(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(PermissionError, match='is not a folder this user may write to'):
        write_checkpoint({}, tmp_path / 'file' / 'a.pth')
