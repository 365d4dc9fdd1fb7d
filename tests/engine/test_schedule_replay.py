"""Learning rates after a resume against those of the uninterrupted run, in any mix of schedules."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from schedule_runs import EPOCHS, LENGTH, Run, group, schedules, setups, uninterrupted

from eca_mmdet.engine.schedule_replay import iterations_into_epoch


@given(schedules, schedules, setups, st.integers(1, EPOCHS * LENGTH - 1))
def test_resume__has_every_value_of_the_uninterrupted_run(mine, of_checkpoint, setup, at):
    """Whatever the schedules of the run that wrote the checkpoint were."""
    expected = uninterrupted(mine, **setup)
    uninterrupted(of_checkpoint, **setup)
    earlier = Run(of_checkpoint, **setup)
    earlier.train(at)
    run = Run(mine, **setup)
    run.resume(earlier.checkpoint())
    names = [set(group) for group in expected[0]]
    rest = [
        [{k: group[k] for k in own} for own, group in zip(names, now)] for now in run.train(EPOCHS * LENGTH)
    ]
    assert rest == expected[at:]


@given(schedules, setups, st.integers(1, EPOCHS * LENGTH - 1))
def test_resume__leaves_the_schedulers_as_the_uninterrupted_run_has_them(mine, setup, at):
    uninterrupted(mine, **setup)
    earlier, run = Run(mine, **setup), Run(mine, **setup)
    earlier.train(at)
    checkpoint = earlier.checkpoint()
    run.resume(checkpoint)
    assert run.checkpoint()['schedulers'] == checkpoint['schedulers']


@given(schedules, st.lists(group, min_size=1, max_size=3), st.integers(1, EPOCHS * LENGTH - 1))
def test_resume__of_several_optimizers_follows_each_ones_schedules(mine, groups, at):
    expected = uninterrupted(mine, groups=groups, several=True)
    earlier, run = Run(mine, groups, several=True), Run(mine, groups, several=True)
    earlier.train(at)
    for wrapper in earlier.wrappers:
        wrapper.param_groups[0]['lr'] *= 3
    run.resume(earlier.checkpoint())
    assert run.train(EPOCHS * LENGTH) == expected[at:]


@given(schedules, setups, st.integers(1, EPOCHS - 1), st.integers(1, 9))
def test_resume__with_other_epochs_counts_epochs_as_long_as_they_are_now(mine, setup, at, length):
    """In an epoch-based run, after another batch size; iterations in an iteration-based one."""
    expected = uninterrupted(mine, **setup)
    uninterrupted(mine, **setup, length=length)
    earlier = Run(mine, **setup, length=length)
    earlier.train(at * length)
    run = Run(mine, **setup)
    run.resume(earlier.checkpoint())
    position = at * LENGTH if setup['by_epoch'] else at * length
    run.iter = position
    assert run.train(EPOCHS * LENGTH) == expected[position:]


WARMUP = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=12)
COSINE = dict(type='CosineAnnealingLR', eta_min=0.001, by_epoch=False)
POLY = dict(type='PolyLR', eta_min=0.001, by_epoch=False)


@pytest.mark.parametrize('pair', [(COSINE, WARMUP), (WARMUP, COSINE), (WARMUP, POLY), (POLY, WARMUP)])
@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('at', [1, 7, 10])
def test_resume__where_schedules_do_not_commute(pair, by_epoch, at):
    expected = Run(pair, [{}], by_epoch=by_epoch).train(EPOCHS * LENGTH)
    earlier, run = (Run(pair, [{}], by_epoch=by_epoch) for _ in range(2))
    earlier.train(at)
    run.resume(earlier.checkpoint())
    assert run.train(EPOCHS * LENGTH) == expected[at:]


def test_resume__of_a_schedule_that_follows_a_metric_is_left_to_mmengine():
    plateau = [dict(type='ReduceOnPlateauLR', monitor='loss', by_epoch=True)]
    earlier, run = Run(plateau, [{}]), Run(plateau, [{}])
    earlier.train(LENGTH)
    earlier.wrappers[0].param_groups[0]['lr'] = 0.007
    run.resume(earlier.checkpoint())
    assert run.values()[0]['lr'] == 0.007


def test_resume__without_schedules_has_the_rate_of_the_config():
    earlier, run = Run([], [dict(lr=0.5)]), Run([], [{}])
    earlier.train(7)
    run.resume(earlier.checkpoint())
    assert run.values()[0]['lr'] == 0.02


def test_resume__without_the_hook_that_steps_schedules_keeps_their_first_value():
    run, earlier = Run([WARMUP], [{}]), Run([WARMUP], [{}])
    earlier.train(7)
    run.hooks = []
    first = run.values()
    run.resume(earlier.checkpoint())
    assert run.values() == first


def test_resume__steps_one_group_for_all_that_are_alike():
    """Hundreds of groups, one for each tensor, cost no more than the few different ones."""
    groups = [dict(lr=rate) for rate in (0.1, 0.2)] * 100
    run, earlier = Run([WARMUP], groups), Run([WARMUP], groups)
    earlier.train(7)
    widths = set()
    original = type(run.param_schedulers[0])._get_value

    class Counting(type(run.param_schedulers[0])):
        def _get_value(self):
            widths.add(len(self.optimizer.param_groups))
            return original(self)

    run.param_schedulers[0].__class__ = Counting
    run.resume(earlier.checkpoint())
    assert widths == {3}  # two, and the one in which mmengine keeps the optimizer's own rate
    assert run.values() == earlier.values()


@pytest.mark.parametrize(
    ('meta', 'info', 'expected'),
    [
        (dict(epoch=2, iter=23), dict(epoch=2, max_iters=60, max_epochs=6), 3),
        (dict(epoch=2, iter=30), dict(epoch=2, max_iters=60, max_epochs=6), 10),
        (dict(epoch=0, iter=7), dict(epoch=0, max_iters=100, max_epochs=1), 7),
        (dict(epoch=3, iter=30), dict(epoch=2, max_iters=60, max_epochs=6), 0),
        (dict(epoch=2, iter=93), dict(epoch=2, max_iters=60, max_epochs=6), 0),
        (dict(epoch=2, iter=23), dict(epoch=2, max_iters=60, max_epochs=0), 0),
        (dict(epoch=2, iter=23), dict(), 0),
        (dict(epoch='2', iter=None), dict(epoch='2', max_iters='x', max_epochs=1), 0),
    ],
)
def test_iterations_into_epoch__are_those_after_the_last_whole_one(meta, info, expected):
    assert iterations_into_epoch(dict(meta=meta, message_hub=dict(runtime_info=info))) == expected


@pytest.mark.parametrize('checkpoint', [{}, dict(meta=None, message_hub=None), dict(meta={})])
def test_iterations_into_epoch__are_none_where_the_checkpoint_does_not_tell(checkpoint):
    assert iterations_into_epoch(checkpoint) == 0
