"""What differs between a config and the one in a checkpoint that it resumes."""

import pytest
from mmengine.config import Config

from eca_mmdet.apis.resumed_config import check_changes, explain_mismatch

OLD = dict(
    model=dict(
        type='RetinaNet', backbone=dict(depth=50, init_cfg=dict(checkpoint='x.pth')), loss_cls=dict(w=1)
    ),
    train_dataloader=dict(batch_size=2),
    optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01)),
    train_cfg=dict(by_epoch=True, max_epochs=4),
)


def checkpoint(iterations=8, epoch=2):
    """A checkpoint of a run with four iterations in an epoch."""
    info = dict(epoch=epoch if iterations % 4 else epoch - 1, max_iters=16, max_epochs=4)
    meta = dict(
        cfg='\n'.join(f'{key} = {value!r}' for key, value in OLD.items()), epoch=epoch, iter=iterations
    )
    return dict(meta=meta, message_hub=dict(runtime_info=info))


def changed(**options):
    cfg = Config(OLD)
    cfg.merge_from_dict(options)
    return cfg


@pytest.mark.parametrize(
    ('name', 'value', 'old'),
    [
        ('optim_wrapper.optimizer.lr', 0.0025, 0.01),
        ('train_dataloader.batch_size', 4, 2),
        ('model.backbone.depth', 18, 50),
    ],
)
def test_changes__are_logged_with_both_values(mmengine_log, capsys, name, value, old):
    check_changes(changed(**{name: value}), checkpoint(), 'x.pth')
    shown = mmengine_log.text + capsys.readouterr().out
    assert f'{name} is {old} in the checkpoint and {value} in the config' in shown


def test_batch_size__cannot_change_within_an_epoch():
    with pytest.raises(
        ValueError, match=r'middle of an epoch.*batch_size is 2 in .* and 4 in .*batch_size=2'
    ):
        check_changes(changed(**{'train_dataloader.batch_size': 4}), checkpoint(iterations=9), 'x.pth')


def test_same_config__logs_nothing(mmengine_log, capsys):
    cfg = changed(**{'model.backbone.init_cfg': None, 'model.loss_cls.w': 2})
    check_changes(cfg, checkpoint(iterations=9), 'x.pth')
    assert 'Unlike' not in mmengine_log.text + capsys.readouterr().out


def test_mismatch__is_explained_by_the_settings_that_differ():
    text = explain_mismatch(changed(**{'model.backbone.depth': 18}), checkpoint()['meta'])
    assert text == '. Settings that differ: model.backbone.depth is 50 in the checkpoint and 18 in the config'


def test_checkpoint__without_a_config_is_not_compared():
    check_changes(changed(), dict(meta={}), 'x.pth')
    assert explain_mismatch(changed(), {}) == ''
