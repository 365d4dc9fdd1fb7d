"""Hooks for the learning rate and for non-finite losses in real runs of a model with one layer."""

import itertools
import math

import pytest
import torch
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import Runner

from eca_mmdet.checkpoints import read_checkpoint
from eca_mmdet.engine import NonFiniteLossError


class Model(BaseModel):
    """A model whose loss is the weight times the input."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1, bias=False)

    def forward(self, x, mode='loss'):
        value = self.layer(x).mean()
        return dict(loss_cls=value, loss_bbox=value * 0 + 1)


def build_runner(work_dir, values=(1.0,) * 4, lr=0.02, epochs=2, **options):
    options.setdefault('auto_scale_lr', dict(enable=True, base_batch_size=2))
    optimizer = options.pop('optimizer', dict(type='SGD', lr=lr, momentum=0.9))
    return Runner(
        model=options.pop('model', None) or Model(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=options.pop('batch_size', 2),
            sampler=dict(type=options.pop('sampler', 'DefaultSampler'), shuffle=False),
            dataset=[dict(x=torch.tensor([v])) for v in values],
            collate_fn=dict(type='default_collate'),
        ),
        train_cfg=options.pop('train_cfg', dict(by_epoch=True, max_epochs=epochs)),
        optim_wrapper=options.pop('wrapper_object', None)
        or dict(optimizer=optimizer, **options.pop('wrapper', {})),
        param_scheduler=options.pop('param_scheduler', dict(type='MultiStepLR', milestones=[2], gamma=0.1)),
        custom_hooks=[dict(type='LearningRateHook'), dict(type='NonFiniteLossHook')],
        experiment_name=f'run{next(_RUN_NUMBERS)}',
        **options,
    )


_RUN_NUMBERS = itertools.count()  # mmengine needs a unique name for each run


def read_logs(work_dir):
    """Return the logs of all runs in a work directory."""
    return ''.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


def test_start__logs_the_scaled_rate_and_the_effective_batch(tmp_path):
    run = build_runner(tmp_path, lr=0.0025, batch_size=4)
    run.train()
    assert (
        'Learning rate 0.005 (scaled linearly from a batch of 2), effective batch 4 (1 process(es) x 4'
        in read_logs(tmp_path)
    )
    assert run.optim_wrapper.param_groups[0]['initial_lr'] == 0.005


def test_resume__uses_the_rate_of_the_config(tmp_path):
    """In the reproducibility challenge, a rate of 0.02 was corrected to 0.0025 before a resume."""
    build_runner(tmp_path, lr=0.02, epochs=1).train()
    resumed = build_runner(tmp_path, lr=0.0025, epochs=4, resume=True)
    rates = []
    resumed.register_hook(_Recorder(rates))
    resumed.train()
    assert rates == pytest.approx([0.0025] * 2 + [0.00025] * 4)
    assert 'The checkpoint has the learning rate 0.02, the config 0.0025 at this point' in read_logs(tmp_path)


@pytest.mark.parametrize(
    'schedule',
    [
        [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3)],
        [dict(type='CosineAnnealingLR', T_max=4, eta_min=0.001, by_epoch=True, convert_to_iter_based=True)],
        [
            dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=5),
            dict(type='MultiStepLR', milestones=[1, 3], gamma=0.1),
        ],
    ],
)
def test_resume__follows_the_schedule_of_the_config(tmp_path, schedule):
    """The checkpoint is from a run with another rate, schedule and length."""
    uninterrupted, resumed = [], []
    run = build_runner(tmp_path / 'uninterrupted', lr=0.0025, epochs=4, param_scheduler=schedule)
    run.register_hook(_Recorder(uninterrupted))
    run.train()
    build_runner(tmp_path / 'resumed', lr=0.02, epochs=2).train()
    run = build_runner(tmp_path / 'resumed', lr=0.0025, epochs=4, param_scheduler=schedule, resume=True)
    run.register_hook(_Recorder(resumed))
    run.train()
    assert len(set(uninterrupted)) > 2
    assert resumed == pytest.approx(uninterrupted[4:])


def test_resume_with_another_batch_size__uses_the_new_epoch_length(tmp_path):
    schedule = dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True)
    options = dict(values=[1.0] * 8, param_scheduler=schedule)
    build_runner(tmp_path, **options, batch_size=1, epochs=2).train()
    run = build_runner(tmp_path, **options, batch_size=4, epochs=4, resume=True)
    run.register_hook(_Recorder(rates := []))
    run.train()
    assert rates[0] == pytest.approx(0.02 * 2 / 2)  # the rate is doubled, and half of the schedule is done


def test_resume_at_the_same_rate__changes_nothing(tmp_path):
    build_runner(tmp_path, lr=0.01, epochs=3).train()
    run = build_runner(tmp_path, lr=0.01, epochs=4, resume=True)
    run.register_hook(_Recorder(rates := []))
    run.train()
    assert rates == pytest.approx([0.001] * 2)
    assert 'The rate of the config is used' not in read_logs(tmp_path)


@pytest.mark.parametrize('checkpoint', ['iter_3.pth', 'iter_4.pth', 'iter_5.pth'])
@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('schedule', ['CosineAnnealingLR', 'PolyLR', 'OneCycleLR'])
def test_resume_within_an_epoch__uses_the_rate_of_the_iteration(tmp_path, schedule, by_epoch, checkpoint):
    """The rates are equal up to the end of the epoch, which mmengine repeats in an epoch-based loop."""
    options = dict(
        values=[1.0] * 8,
        train_cfg=dict(by_epoch=by_epoch, **(dict(max_epochs=3) if by_epoch else dict(max_iters=12))),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)),
        sampler='DefaultSampler' if by_epoch else 'InfiniteSampler',
        param_scheduler=[
            dict(type=schedule, by_epoch=False, **SCHEDULES[schedule]),
            dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=6),
        ],
        auto_scale_lr=dict(enable=True, base_batch_size=1),
    )
    run = build_runner(tmp_path, **options)
    run.register_hook(_Recorder(uninterrupted := []))
    run.train()
    run = build_runner(tmp_path, **options, resume=True, load_from=str(tmp_path / checkpoint))
    run.register_hook(_Recorder(resumed := []))
    run.train()
    start = int(checkpoint[len('iter_')])
    assert len(set(uninterrupted)) > 6
    assert resumed[: 12 - start] == uninterrupted[start:]


SCHEDULES = dict(
    CosineAnnealingLR=dict(eta_min=0.001),
    PolyLR=dict(eta_min=0.001),
    OneCycleLR=dict(eta_max=0.1),
)


def test_resume_of_an_iteration_based_run__does_not_count_epochs(tmp_path):
    """The end of the first run is not the end of an epoch in the second."""
    schedule = [
        dict(type='MultiStepLR', milestones=[1], gamma=0.1, by_epoch=True),
        dict(type='LinearLR', start_factor=0.5, by_epoch=False, end=20),
    ]
    options = dict(values=[1.0] * 6, sampler='InfiniteSampler', param_scheduler=schedule)
    long, short = dict(by_epoch=False, max_iters=12), dict(by_epoch=False, max_iters=5)
    run = build_runner(tmp_path / 'uninterrupted', **options, train_cfg=long)
    run.register_hook(_Recorder(uninterrupted := []))
    run.train()
    build_runner(tmp_path / 'resumed', **options, train_cfg=short).train()
    assert (tmp_path / 'resumed/epoch_1.pth').is_file()
    run = build_runner(tmp_path / 'resumed', **options, train_cfg=long, resume=True)
    run.register_hook(_Recorder(resumed := []))
    run.train()
    assert resumed == uninterrupted[5:]


def test_resume_with_a_schedule_that_depends_on_a_metric__logs_a_warning(tmp_path):
    schedule = dict(type='ReduceOnPlateauLR', monitor='loss')
    build_runner(tmp_path, lr=0.02, epochs=1, param_scheduler=schedule).train()
    build_runner(tmp_path, lr=0.01, epochs=2, param_scheduler=schedule, resume=True).train()
    assert 'ReduceOnPlateauLR depends on past evaluations' in read_logs(tmp_path)


class _Recorder(Hook):
    """Record the learning rate of each iteration."""

    def __init__(self, rates):
        self.rates = rates

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.param_groups[0]['lr'])


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_non_finite_loss__stops_training_and_keeps_the_last_checkpoint(tmp_path, value):
    with pytest.raises(NonFiniteLossError) as error:
        build_runner(tmp_path, values=[1.0, 1.0], epochs=1).train()
        build_runner(tmp_path, values=[1.0, 1.0, 1.0, value], epochs=3, resume=True, lr=0.0025).train()
    message = str(error.value)
    term = 'loss_cls nan' if math.isnan(value) else 'inf'
    expected = ('iteration 3 (epoch 2)', term, 'loss_bbox', 'epoch_1.pth')
    for text in (*expected, 'learning rate 0.0025', 'effective batch 2', '--resume'):
        assert text in message, message
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert read_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']['layer.weight'].isfinite().all()


def test_non_finite_weights__are_not_saved(tmp_path):
    """All losses are finite, but the update in the last iteration of the epoch overflows."""
    with pytest.raises(NonFiniteLossError, match='layer.weight. The checkpoint was not saved'):
        run = build_runner(tmp_path, values=[3e38] * 2, lr=3e38, epochs=1, auto_scale_lr=dict(enable=False))
        run.train()
    assert list(tmp_path.glob('*.pth')) == []


def test_hooks__support_several_optimizers(tmp_path):
    """The model steps them itself, as in a GAN."""

    class TwoStepModel(Model):
        def train_step(self, data, optim_wrapper):
            losses = self(**data)
            for wrapper in optim_wrapper.values():
                wrapper.update_params(losses['loss_cls'] + 0)
                losses = self(**data)
            return losses

    model = TwoStepModel()
    a, b = (OptimWrapper(torch.optim.SGD(model.parameters(), lr)) for lr in (0.1, 0.2))
    wrapper = OptimWrapperDict(a=a, b=b)
    run = build_runner(tmp_path, values=[math.nan] * 2, model=model, wrapper_object=wrapper)
    with pytest.raises(NonFiniteLossError, match='learning rate 0.1 to 0.2 .*; 0.2 at this iteration'):
        run.train()


@pytest.mark.parametrize(
    ('options', 'advice'),
    [
        (dict(lr=0.02), r'8.0 times that of the linear rule(.|\n)*optim_wrapper.optimizer.lr=0.0025$'),
        (dict(lr=0.002), 'clip_grad'),
        (dict(lr=0.002, wrapper=dict(clip_grad=dict(max_norm=1))), 'halve the learning rate'),
        (dict(optimizer=dict(type='AdamW', lr=1.0)), 'clip_grad'),
    ],
)
def test_non_finite_loss__gives_advice(tmp_path, options, advice):
    with pytest.raises(NonFiniteLossError, match=advice):
        build_runner(tmp_path, values=[math.nan] * 2, **options).train()


def test_rate_above_the_linear_rule__is_a_warning_at_the_start(tmp_path):
    run = build_runner(tmp_path, lr=0.02)
    run.train()
    warning = 'This rate is 8.0 times that of the linear rule for SGD (0.0025 for this batch)'
    assert warning in read_logs(tmp_path)
