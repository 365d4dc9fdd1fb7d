import io
import json
import os
import pickle
import zipfile

import pytest
import torch
from mmengine.logging.history_buffer import HistoryBuffer
from safetensors import SafetensorError

from eca_mmdet.checkpoints import io as checkpoint_io
from eca_mmdet.checkpoints import read_checkpoint, write_checkpoint, write_weights

ran = []


class Hostile:
    def __reduce__(self):
        return ran.append, ('code from the file ran',)


def save(path, content, **options):
    torch.save(content, path, **options)
    return path


@pytest.mark.parametrize('zipped', [True, False])
def test_read__does_not_execute_code_of_the_file(tmp_path, zipped):
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
    """Pickle a reference to an attribute of an allowed class."""

    def __reduce__(self):
        return getattr, (HistoryBuffer, 'register_statistics')


def test_read__allows_only_the_statistics_of_history_buffers(tmp_path):
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
        (lambda path: path.write_bytes(b'\x80\x02J\x01'), ValueError, 'truncated checkpoint'),
        (lambda path: path.write_bytes(os.urandom(500)), ValueError, 'not a torch checkpoint'),
        (lambda path: path.write_text('<!DOCTYPE html><html>'), ValueError, 'a web page'),
        (
            lambda path: path.write_bytes(pickle.dumps(dict(a=1))),
            ValueError,
            'checkpoint; download the checkpoint again',
        ),
    ],
)
@pytest.mark.parametrize('mmap', [False, True])
def test_read__of_a_bad_file_explains_the_problem(tmp_path, make, error, message, mmap):
    path = tmp_path / 'x.pth'
    make(path)
    with pytest.raises(error, match=message) as caught:
        read_checkpoint(path, mmap=mmap)
    assert str(path) in str(caught.value)


def safetensors_file(header, data=b'', size=None):
    """Return the bytes of a file whose header may state a wrong size or wrong data offsets."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if size is None else size).to_bytes(8, 'little') + text + data


W = dict(dtype='F32', shape=[2], data_offsets=[0, 8])


@pytest.mark.parametrize(
    'content',
    [
        safetensors_file(dict(w=W), bytes(8))[:-4],
        safetensors_file(dict(w=W), bytes(8), size=2**62),
        safetensors_file(dict(w=W), bytes(8), size=5),
        safetensors_file(dict(w=dict(W, shape=[2**40])), bytes(8)),
        safetensors_file(dict(w=dict(W, data_offsets=[0, 2**40])), bytes(8)),
        safetensors_file(dict(w=W, v=W), bytes(8)),
        safetensors_file(dict(w=dict(W, dtype='code')), bytes(8)),
        safetensors_file(b'{' * 100_000),
        b'{}',
        b'<!DOCTYPE html><html>',
    ],
    ids=['truncated', 'size', 'header', 'shape', 'offsets', 'overlap', 'dtype', 'nested', 'short', 'page'],
)
def test_read__rejects_inconsistent_safetensors_headers(tmp_path, content):
    path = tmp_path / 'x.safetensors'
    path.write_bytes(content)
    with pytest.raises(ValueError, match='not a safetensors file, or a truncated one') as caught:
        read_checkpoint(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize('name', ['x.safetensors', 'x.bin'])
def test_read__recognises_safetensors_by_content(tmp_path, name):
    write_weights(dict(w=torch.arange(3.0)), dict(a=[1, 'b']), tmp_path / 'x.safetensors')
    (tmp_path / 'x.safetensors').rename(tmp_path / name)
    checkpoint = read_checkpoint(tmp_path / name)
    torch.testing.assert_close(checkpoint['state_dict']['w'], torch.arange(3.0))
    assert checkpoint['meta']['a'] == [1, 'b']


@pytest.mark.parametrize('zipped', ['stored', 'deflated', 'older'])
def test_read__memory_maps_only_supported_files(tmp_path, zipped):
    path = save(
        tmp_path / 'a.pth', dict(w=torch.arange(1000.0)), _use_new_zipfile_serialization=zipped != 'older'
    )
    if zipped == 'deflated':
        with (
            zipfile.ZipFile(path) as old,
            zipfile.ZipFile(tmp_path / 'b.pth', 'w', zipfile.ZIP_DEFLATED) as new,
        ):
            for name in old.namelist():
                new.writestr(name, old.read(name))
        path = tmp_path / 'b.pth'
    torch.testing.assert_close(read_checkpoint(path, mmap=True)['w'], torch.arange(1000.0))


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_write_weights__of_views_writes_only_their_values(tmp_path, suffix):
    whole = torch.arange(10_000.0).reshape(100, 100)
    weights = dict(part=whole[3:5, :], turned=whole[:2].T, parameter=torch.nn.Parameter(whole[7]))
    path = tmp_path / f'a{suffix}'
    write_weights(weights, {}, path)
    assert path.stat().st_size < 8_000
    read = read_checkpoint(path)['state_dict']
    assert all(
        torch.equal(read[key], value) and type(read[key]) is torch.Tensor for key, value in weights.items()
    )


def test_write_weights__leaves_no_file_on_failure(tmp_path, monkeypatch):
    def full(tensors, name, metadata):
        raise SafetensorError('No space left on device')

    monkeypatch.setattr(checkpoint_io, 'save_file', full)
    with pytest.raises(OSError, match='cannot write .*No space left'):
        write_weights(dict(w=torch.zeros(1)), {}, tmp_path / 'sub' / 'a.safetensors')
    assert list((tmp_path / 'sub').iterdir()) == []


def test_write__keeps_an_existing_target(tmp_path):
    path = save(tmp_path / 'a.pth', dict(w=torch.ones(1)))
    with pytest.raises(FileExistsError, match='--overwrite'):
        write_checkpoint(dict(w=torch.zeros(1)), path)
    assert read_checkpoint(path)['w'] == 1
    write_checkpoint(dict(w=torch.zeros(1)), path, overwrite=True)
    assert read_checkpoint(path)['w'] == 0


def test_write__leaves_no_file_on_failure(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_io.torch, 'save', lambda obj, file: (file.write(b'half'), 1 / 0))
    with pytest.raises(ZeroDivisionError):
        write_checkpoint({}, tmp_path / 'sub' / 'a.pth')
    assert list((tmp_path / 'sub').iterdir()) == []


def test_write__below_a_file_raises_an_error(tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(PermissionError, match='is not a folder this user may write to'):
        write_checkpoint({}, tmp_path / 'file' / 'a.pth')


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_write_weights__writes_tied_tensors(tmp_path, suffix):
    """Tensors may share all of their memory, a part from the start, or a part from the middle."""
    whole = torch.arange(12.0)
    weights = dict(
        first=whole, again=whole, start=whole[:5], inside=whole[3:7], parameter=torch.nn.Parameter(whole)
    )
    path = tmp_path / f'a{suffix}'
    write_weights(weights, {}, path)
    read = read_checkpoint(path)['state_dict']
    assert all(torch.equal(read[name], value) for name, value in weights.items())


def test_write__through_a_symbolic_link_replaces_its_target(tmp_path):
    target = save(tmp_path / 'target.pth', dict(w=torch.ones(1)))
    (tmp_path / 'middle.pth').symlink_to('target.pth')
    link = tmp_path / 'link.pth'
    link.symlink_to('middle.pth')
    with pytest.raises(FileExistsError, match='link.pth exists; name another target'):
        write_checkpoint(dict(w=torch.zeros(1)), link)
    write_checkpoint(dict(w=torch.zeros(1)), link, overwrite=True)
    assert link.is_symlink()
    assert not target.is_symlink()
    assert read_checkpoint(target)['w'] == 0


def test_write__through_a_dangling_link_creates_its_target(tmp_path):
    (tmp_path / 'a.pth').symlink_to(tmp_path / 'other' / 'b.pth')
    write_checkpoint(dict(w=torch.zeros(1)), tmp_path / 'a.pth')
    assert (tmp_path / 'a.pth').is_symlink()
    assert read_checkpoint(tmp_path / 'other' / 'b.pth')['w'] == 0


def test_write__through_a_circular_link_raises_an_error(tmp_path):
    (tmp_path / 'a.pth').symlink_to(tmp_path / 'b.pth')
    (tmp_path / 'b.pth').symlink_to(tmp_path / 'a.pth')
    with pytest.raises(FileExistsError, match='a.pth is a symbolic link to itself'):
        write_checkpoint({}, tmp_path / 'a.pth', overwrite=True)


def test_write__does_not_replace_a_pipe_or_device(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    with pytest.raises(FileExistsError, match='pipe is a device or pipe'):
        write_checkpoint({}, tmp_path / 'pipe', overwrite=True)


def test_write__expands_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    write_checkpoint(dict(w=torch.zeros(1)), '~/a.pth')
    assert read_checkpoint('~/a.pth')['w'] == 0
