"""The newest checkpoint of a work directory that can be resumed."""

import pytest
import torch

from eca_mmdet.checkpoints import find_latest, read_pointer


def save(path, step, **entries):
    torch.save({**dict(meta=dict(iter=step), message_hub={}, optimizer={}, state_dict={}), **entries}, path)


def test_latest__is_the_one_of_the_pointer_whatever_else_is_there(tmp_path):
    for step in (1, 2, 12):
        save(tmp_path / f'epoch_{step}.pth', step)
    (tmp_path / 'last_checkpoint').write_text('epoch_2.pth')
    assert find_latest(tmp_path).meta == dict(iter=2)


def test_latest__without_a_pointer_has_the_highest_number(tmp_path):
    for step in (2, 12, 9):
        save(tmp_path / f'iter_{step}.pth', step)
    save(tmp_path / 'best_mIoU_iter_20.pth', 20)
    assert find_latest(tmp_path).meta == dict(iter=12)


@pytest.mark.parametrize('size', [0, 1, 300, -1])
def test_latest__skips_a_torn_file_and_names_it(tmp_path, mmengine_log, size):
    for step in (1, 2):
        save(tmp_path / f'epoch_{step}.pth', step)
    torn = tmp_path / 'epoch_2.pth'
    torn.write_bytes(torn.read_bytes()[:size])
    (tmp_path / 'last_checkpoint').write_text('epoch_2.pth')
    assert find_latest(tmp_path).meta == dict(iter=1)
    assert 'epoch_2.pth' in mmengine_log.text


def test_latest__follows_an_absolute_pointer_of_mmengine_into_a_moved_folder(tmp_path):
    save(tmp_path / 'epoch_1.pth', 1)
    (tmp_path / 'last_checkpoint').write_text('/old/place/epoch_1.pth')
    assert read_pointer(tmp_path) == str(tmp_path / 'epoch_1.pth')


def test_latest__of_a_new_run_is_none(tmp_path):
    assert find_latest(tmp_path) is None
    assert find_latest(tmp_path / 'nowhere') is None


def test_latest__skips_weights_without_training(tmp_path):
    save(tmp_path / 'epoch_1.pth', 1)
    torch.save(dict(state_dict={}), tmp_path / 'epoch_2.pth')
    assert find_latest(tmp_path).meta == dict(iter=1)


def test_latest__says_why_nothing_can_be_resumed(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('epoch_2.pth')
    (tmp_path / 'epoch_1.pth').write_bytes(b'PK')
    with pytest.raises(ValueError, match=r'epoch_2.pth, which is not there; .*epoch_1.pth'):
        find_latest(tmp_path)


def test_pointer__to_a_remote_checkpoint_is_kept(tmp_path):
    (tmp_path / 'last_checkpoint').write_text('https://host/epoch_1.pth')
    assert find_latest(tmp_path).path == 'https://host/epoch_1.pth'
