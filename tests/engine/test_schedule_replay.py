"""Learning rates after a resume equal those of an uninterrupted run, for any mix of schedules."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from schedule_runs import EPOCHS, LENGTH, Run, group, schedules, setups, train_uninterrupted

from eca_mmdet.engine.schedule_replay import iterations_into_epoch


@given(schedules, schedules, setups, st.integers(1, EPOCHS * LENGTH - 1))
def test_resume__has_the_values_of_an_uninterrupted_run(config_schedules, old_schedules, setup, at):
    """The schedules of the run that saved the checkpoint may be different."""
    expected = train_uninterrupted(config_schedules, **setup)
    train_uninterrupted(old_schedules, **setup)
    earlier = Run(old_schedules, **setup)
    earlier.train(at)
    run = Run(config_schedules, **setup)
    run.resume(earlier.checkpoint())
    found = run.train(EPOCHS * LENGTH)
    assert len(found) == len(expected) - at
    for found_groups, expected_groups in zip(found, expected[at:]):
        assert len(found_groups) == len(expected_groups)
        for found_group, expected_group in zip(found_groups, expected_groups):
            # The checkpoint may have added hyperparameters of its own schedules.
            assert {key: found_group[key] for key in expected_group} == expected_group


# Groups of equal rates, of which one had another when a schedule that has not begun was built.
ONE_CYCLE = dict(type='mmengine.OneCycleLR', by_epoch=True, begin=1, eta_max=0.0625, pct_start=0.375)
CONSTANT = dict(type='mmengine.ConstantLR', by_epoch=False, factor=1.0)
RESTARTS = dict(
    type='mmengine.CosineRestartLR', by_epoch=False, eta_min=0.0, periods=[2, 2], restart_weights=[1, 1.0]
)


@example(
    config_schedules=[ONE_CYCLE, CONSTANT, RESTARTS],
    setup=dict(groups=[{}, dict(lr=0.1)], optimizer='SGD', by_epoch=False),
    at=1,
)
@given(schedules, setups, st.integers(1, EPOCHS * LENGTH - 1))
def test_resume__leaves_the_schedulers_in_the_state_of_an_uninterrupted_run(config_schedules, setup, at):
    train_uninterrupted(config_schedules, **setup)
    earlier, run = Run(config_schedules, **setup), Run(config_schedules, **setup)
    earlier.train(at)
    checkpoint = earlier.checkpoint()
    run.resume(checkpoint)
    assert run.checkpoint()['schedulers'] == checkpoint['schedulers']


@given(schedules, st.lists(group, min_size=1, max_size=3), st.integers(1, EPOCHS * LENGTH - 1))
def test_resume_with_several_optimizers__follows_the_schedules_of_each(config_schedules, groups, at):
    expected = train_uninterrupted(config_schedules, groups=groups, two_optimizers=True)
    earlier, run = (Run(config_schedules, groups, two_optimizers=True) for _ in range(2))
    earlier.train(at)
    for wrapper in earlier.wrappers:
        wrapper.param_groups[0]['lr'] *= 3
    run.resume(earlier.checkpoint())
    assert run.train(EPOCHS * LENGTH) == expected[at:]


@given(schedules, setups, st.integers(1, EPOCHS - 1), st.integers(1, 9))
def test_resume_with_another_epoch_length__uses_the_new_length(config_schedules, setup, at, length):
    """An epoch-based run continues at its epoch, an iteration-based one at its iteration."""
    expected = train_uninterrupted(config_schedules, **setup)
    train_uninterrupted(config_schedules, **setup, length=length)
    earlier = Run(config_schedules, **setup, length=length)
    earlier.train(at * length)
    run = Run(config_schedules, **setup)
    run.resume(earlier.checkpoint())
    position = at * LENGTH if setup['by_epoch'] else at * length
    run.iter = position
    assert run.train(EPOCHS * LENGTH) == expected[position:]


WARMUP = dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=12)
COSINE = dict(type='CosineAnnealingLR', eta_min=0.001, by_epoch=False)
POLY = dict(type='PolyLR', eta_min=0.001, by_epoch=False)


@pytest.mark.parametrize(
    'two_schedules', [(COSINE, WARMUP), (WARMUP, COSINE), (WARMUP, POLY), (POLY, WARMUP)]
)
@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('at', [1, 7, 10])
def test_resume__applies_schedules_in_their_order(two_schedules, by_epoch, at):
    expected = Run(two_schedules, [{}], by_epoch=by_epoch).train(EPOCHS * LENGTH)
    earlier, run = (Run(two_schedules, [{}], by_epoch=by_epoch) for _ in range(2))
    earlier.train(at)
    run.resume(earlier.checkpoint())
    assert run.train(EPOCHS * LENGTH) == expected[at:]


def test_resume_with_a_schedule_that_depends_on_a_metric__keeps_the_rate_of_the_checkpoint():
    plateau = [dict(type='ReduceOnPlateauLR', monitor='loss', by_epoch=True)]
    earlier, run = Run(plateau, [{}]), Run(plateau, [{}])
    earlier.train(LENGTH)
    earlier.wrappers[0].param_groups[0]['lr'] = 0.007
    run.resume(earlier.checkpoint())
    assert run.values()[0]['lr'] == 0.007


def test_resume_without_schedules__uses_the_rate_of_the_config():
    earlier, run = Run([], [dict(lr=0.5)]), Run([], [{}])
    earlier.train(7)
    run.resume(earlier.checkpoint())
    assert run.values()[0]['lr'] == 0.02


def test_resume_without_the_scheduler_hook__keeps_the_initial_values():
    run, earlier = Run([WARMUP], [{}]), Run([WARMUP], [{}])
    earlier.train(7)
    run.hooks = []
    first = run.values()
    run.resume(earlier.checkpoint())
    assert run.values() == first


def test_resume__steps_equal_groups_once():
    """A group for each of hundreds of tensors costs no more than the few different groups."""
    groups = [dict(lr=rate) for rate in (0.1, 0.2)] * 100
    run, earlier = Run([WARMUP], groups), Run([WARMUP], groups)
    earlier.train(7)
    group_counts = set()
    original = type(run.param_schedulers[0])._get_value

    class CountingScheduler(type(run.param_schedulers[0])):
        def _get_value(self):
            group_counts.add(len(self.optimizer.param_groups))
            return original(self)

    run.param_schedulers[0].__class__ = CountingScheduler
    run.resume(earlier.checkpoint())
    assert group_counts == {3}  # two, and the one in which mmengine stores the base rate of the optimizer
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
def test_iterations_into_epoch__counts_from_the_last_complete_epoch(meta, info, expected):
    assert iterations_into_epoch(dict(meta=meta, message_hub=dict(runtime_info=info))) == expected


@pytest.mark.parametrize('checkpoint', [{}, dict(meta=None, message_hub=None), dict(meta={})])
def test_iterations_into_epoch__is_zero_if_the_checkpoint_does_not_contain_it(checkpoint):
    assert iterations_into_epoch(checkpoint) == 0
