"""A training that is interrupted anywhere ends with the weights of the uninterrupted one."""

import numpy as np
import pytest
import torch
from mmengine.runner import Runner
from tiny_runs import RandomNumbers, tiny_runner, train_dataloader

from eca_mmdet.apis.make_resumable import make_resumable, resumable_dataloader
from eca_mmdet.checkpoints import read_checkpoint

SAVE_ALWAYS = dict(by_epoch=False, interval=1)
AVERAGED = dict(custom_hooks=[dict(type='EMAHook', momentum=0.1)])
ADAM = dict(optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.01), accumulative_counts=2))
BY_EPOCH, BY_ITERATION = dict(by_epoch=True, max_epochs=3), dict(by_epoch=False, max_iters=15)
INFINITE = dict(type='InfiniteSampler', shuffle=True)
ASPECT = dict(type='mmdet.AspectRatioBatchSampler')


def build(work_dir, loader=None, **options):
    options = {**dict(train_dataloader=train_dataloader(**(loader or {}))), **options}
    runner = tiny_runner(work_dir, checkpoint=SAVE_ALWAYS, **options)
    make_resumable(runner)
    return runner


def state(path):
    checkpoint = read_checkpoint(path)
    return {
        key: checkpoint[key] for key in ('state_dict', 'optimizer', 'ema_state_dict') if key in checkpoint
    }


def assert_same(first, second):
    torch.testing.assert_close(state(first), state(second), rtol=0, atol=0)


@pytest.mark.parametrize('iteration', [1, 3, 5, 7, 14])
@pytest.mark.parametrize(
    ('loader', 'options'),
    [
        ({}, dict(train_cfg=BY_EPOCH, **AVERAGED)),
        ({}, dict(train_cfg=BY_EPOCH, **ADAM)),
        (dict(batch_sampler=ASPECT), dict(train_cfg=BY_EPOCH)),
        (dict(sampler=INFINITE), dict(train_cfg=BY_ITERATION, **AVERAGED)),
        (dict(sampler=INFINITE, batch_sampler=ASPECT), dict(train_cfg=BY_ITERATION, **ADAM)),
    ],
)
def test_resume__from_any_iteration_gives_the_weights_of_the_uninterrupted_run(
    whole_runs, tmp_path, iteration, loader, options
):
    whole = whole_runs(loader, options)
    path = str(whole / f'iter_{iteration}.pth')
    build(tmp_path, loader, **options, resume=True, load_from=path).train()
    assert_same(tmp_path / 'iter_15.pth', whole / 'iter_15.pth')


@pytest.fixture(scope='module')
def whole_runs(tmp_path_factory):
    """Return the work directory of an uninterrupted run, which is made once per setting."""
    done = {}

    def run(loader, options):
        key = repr((loader, options))
        if key not in done:
            done[key] = tmp_path_factory.mktemp('whole')
            build(done[key], loader, **options).train()
        return done[key]

    return run


def test_resume__where_an_iteration_based_run_began_a_second_epoch_continues_in_it(
    whole_runs, tmp_path, monkeypatch
):
    monkeypatch.setattr('time.sleep', lambda seconds: None)
    options = dict(train_cfg=BY_ITERATION)
    whole = whole_runs({}, options)
    build(tmp_path, {}, **options, resume=True, load_from=str(whole / 'iter_7.pth')).train()
    assert_same(tmp_path / 'iter_15.pth', whole / 'iter_15.pth')


def test_resume__does_not_depend_on_the_number_of_workers(whole_runs, tmp_path):
    whole = whole_runs({}, dict(train_cfg=BY_EPOCH, **AVERAGED))
    workers = dict(num_workers=2, persistent_workers=True)
    options = dict(train_cfg=BY_EPOCH, **AVERAGED)
    build(tmp_path, workers, **options, resume=True, load_from=str(whole / 'iter_3.pth')).train()
    assert_same(tmp_path / 'iter_15.pth', whole / 'iter_15.pth')


@pytest.mark.parametrize(
    ('loader', 'options'),
    [({}, BY_EPOCH), (dict(sampler=INFINITE), BY_ITERATION)],
    ids=['epoch', 'iteration'],
)
def test_resume__loads_no_sample_of_the_batches_before(whole_runs, tmp_path, monkeypatch, loader, options):
    whole = whole_runs(loader, dict(train_cfg=options))
    loaded, load = [], RandomNumbers.__getitem__

    def count(dataset, index):
        loaded.append(index)
        return load(dataset, index)

    monkeypatch.setattr(RandomNumbers, '__getitem__', count)
    build(tmp_path, loader, train_cfg=options, resume=True, load_from=str(whole / 'iter_13.pth')).train()
    assert len(loaded) == 2 * 2


def test_samples__of_another_epoch_have_other_random_numbers():
    loader = Runner.build_dataloader(resumable_dataloader(train_dataloader()), seed=3)
    numbers = []
    for epoch in (0, 1):
        loader.batch_sampler.sampler.set_epoch(epoch)
        numbers += [value for batch in loader for value in batch['x'][:, 1].tolist()]
    assert len(set(numbers)) == 20


def test_order__is_that_of_the_sampler_of_the_config():
    plain = Runner.build_dataloader(train_dataloader(), seed=3)
    wrapped = Runner.build_dataloader(resumable_dataloader(train_dataloader()), seed=3)
    for ours, theirs in zip(wrapped, plain):
        np.testing.assert_array_equal(ours['x'][:, 0], theirs['x'][:, 0])


def test_attributes__of_the_dataset_can_be_read_and_set():
    dataset = Runner.build_dataloader(resumable_dataloader(train_dataloader()), seed=3).dataset
    dataset.pipeline = 'changed by a hook'
    assert dataset._dataset.pipeline == 'changed by a hook'
    assert dataset.metainfo == dict(classes=('thing',))


def test_incomplete_batch__is_dropped_if_the_config_says_so():
    config = resumable_dataloader(train_dataloader(length=5, drop_last=True))
    assert len(list(Runner.build_dataloader(config, seed=3))) == 2


def test_exact_resume_false__leaves_the_run_as_it_is(tmp_path):
    runner = tiny_runner(tmp_path, cfg=dict(exact_resume=False))
    make_resumable(runner)
    assert runner._train_dataloader == train_dataloader()


def test_other_loops__run_as_before_and_the_log_says_so(tmp_path):
    runner = tiny_runner(tmp_path, train_cfg=dict(type='mmdet.TeacherStudentValLoop'))
    make_resumable(runner)
    assert runner._train_dataloader == train_dataloader()
    log = ''.join(path.read_text() for path in tmp_path.glob('*/*.log'))
    assert 'TeacherStudentValLoop is not a loop of mmengine' in log
