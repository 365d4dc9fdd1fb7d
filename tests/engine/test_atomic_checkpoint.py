"""Checkpoints in real runs: complete or absent, the pointer relative, old files removed last."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from tiny_runs import Rising, tiny_runner, with_evaluation

from eca_mmdet import atomic_write
from eca_mmdet.checkpoints import find_latest, read_checkpoint, read_pointer


class Killed(BaseException):
    """Ends a run as SIGKILL would: nothing is cleaned up."""


def files(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.suffix != '.py')


def test_pointer__is_relative_and_survives_a_move_of_the_folder(tmp_path):
    tiny_runner(tmp_path / 'a', epochs=1).train()
    assert (tmp_path / 'a/last_checkpoint').read_text() == 'epoch_1.pth'
    shutil.move(tmp_path / 'a', tmp_path / 'b')
    assert read_pointer(tmp_path / 'b') == str(tmp_path / 'b/epoch_1.pth')


def test_resume__of_a_moved_folder_continues(tmp_path):
    tiny_runner(tmp_path / 'a', epochs=1).train()
    shutil.move(tmp_path / 'a', tmp_path / 'b')
    runner = tiny_runner(tmp_path / 'b', epochs=2, resume=True)
    runner.train()
    assert runner.iter == 10
    assert files(tmp_path / 'b') == ['epoch_1.pth', 'epoch_2.pth', 'last_checkpoint']


def kill_at(monkeypatch, call, name='replace'):
    """Raise in the given call of a function of ``os``, without any cleaning up."""
    original, calls = getattr(os, name), []

    def fail(*arguments, **options):
        calls.append(arguments)
        if len(calls) == call:
            raise Killed
        return original(*arguments, **options)

    monkeypatch.setattr(atomic_write.os, name, fail)
    monkeypatch.setattr(Path, 'unlink', lambda path, missing_ok=False: None)


@pytest.mark.parametrize(('call', 'epoch'), [(1, 0), (2, 1), (3, 1), (4, 1)])
def test_kill__before_any_rename_leaves_a_checkpoint_to_resume(tmp_path, monkeypatch, call, epoch):
    """The renames are those of the checkpoint and of the pointer, epoch by epoch. The pointer decides."""
    with monkeypatch.context() as patch:
        kill_at(patch, call)
        with pytest.raises(Killed):
            tiny_runner(tmp_path, epochs=3, checkpoint=dict(max_keep_ckpts=1)).train()
    latest = find_latest(tmp_path)
    assert (latest.meta['epoch'] if latest else 0) == epoch
    for path in tmp_path.glob('*.pth'):
        read_checkpoint(path)
    assert list(tmp_path.glob('.*.partial'))


def test_kill__before_the_removal_of_an_old_checkpoint_is_made_up_for_by_the_resumed_run(
    tmp_path, monkeypatch
):
    with monkeypatch.context() as patch:
        kill_at(patch, 1, 'remove')
        with pytest.raises(Killed):
            tiny_runner(tmp_path, epochs=3, checkpoint=dict(max_keep_ckpts=1)).train()
    assert files(tmp_path) == ['epoch_1.pth', 'epoch_2.pth', 'last_checkpoint']
    tiny_runner(tmp_path, epochs=3, checkpoint=dict(max_keep_ckpts=1), resume=True).train()
    assert files(tmp_path) == ['epoch_3.pth', 'last_checkpoint']


def test_start__removes_unfinished_files(tmp_path):
    (tmp_path / '.epoch_1.pth.abc.partial').write_bytes(b'torn')
    (tmp_path / '.notes.partial').write_bytes(b'of someone else')
    tiny_runner(tmp_path, epochs=1).train()
    assert [path.name for path in tmp_path.glob('.*')] == ['.notes.partial']


def test_best__is_removed_after_the_next_best_is_saved(tmp_path, monkeypatch):
    monkeypatch.setattr(Rising, 'value', 0)
    options = dict(checkpoint=dict(max_keep_ckpts=1, save_best='acc'), **with_evaluation())
    removed, remove = [], os.remove

    def record(path):
        removed.append((Path(path).name, files(tmp_path)))
        remove(path)

    monkeypatch.setattr(os, 'remove', record)
    tiny_runner(tmp_path, epochs=2, **options).train()
    assert files(tmp_path) == ['best_acc_epoch_2.pth', 'epoch_2.pth', 'last_checkpoint']
    assert [name for name, _ in removed] == ['epoch_1.pth', 'best_acc_epoch_1.pth']
    assert 'best_acc_epoch_2.pth' in dict(removed)['best_acc_epoch_1.pth']


def test_best__of_a_moved_folder_is_replaced_too(tmp_path, monkeypatch):
    monkeypatch.setattr(Rising, 'value', 0)
    options = dict(checkpoint=dict(save_best='acc'), **with_evaluation())
    tiny_runner(tmp_path / 'a', epochs=1, **options).train()
    shutil.move(tmp_path / 'a', tmp_path / 'b')
    tiny_runner(tmp_path / 'b', epochs=2, resume=True, **options).train()
    assert [name for name in files(tmp_path / 'b') if 'best' in name] == ['best_acc_epoch_2.pth']


def test_hostile_checkpoint__removes_no_other_file(tmp_path, monkeypatch):
    monkeypatch.setattr(Rising, 'value', 0)
    options = dict(checkpoint=dict(save_best='acc', max_keep_ckpts=1), **with_evaluation())
    work = tmp_path / 'work'
    tiny_runner(work, epochs=1, **options).train()
    victims = [tmp_path / 'victim.pth', work / 'notes.txt', tmp_path / 'folder/file']
    for path in victims:
        path.parent.mkdir(exist_ok=True)
        path.write_text('precious')
    checkpoint = torch.load(work / 'epoch_1.pth', weights_only=False)
    names = ['..', '../victim.pth', str(victims[0]), 'notes.txt', '../folder']
    checkpoint['message_hub']['runtime_info'].update(outdated_ckpts=names, best_ckpt=str(victims[0]))
    torch.save(checkpoint, work / 'epoch_1.pth')
    tiny_runner(work, epochs=2, resume=True, **options).train()
    assert (work / 'epoch_2.pth').is_file()
    assert all(path.read_text() == 'precious' for path in victims)


def test_full_disk__keeps_the_old_checkpoint_and_removes_the_unfinished_one(tmp_path, monkeypatch):
    tiny_runner(tmp_path, epochs=1).train()
    before = (tmp_path / 'epoch_1.pth').read_bytes()

    def fail(path):
        raise OSError(28, 'No space left on device')

    monkeypatch.setattr(atomic_write, 'flush_to_disk', fail)
    with pytest.raises(OSError, match='No space left'):
        tiny_runner(tmp_path, epochs=2, resume=True).train()
    assert (tmp_path / 'epoch_1.pth').read_bytes() == before
    assert (tmp_path / 'last_checkpoint').read_text() == 'epoch_1.pth'
    assert not list(tmp_path.glob('.*'))
