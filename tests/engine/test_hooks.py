"""Learning rate and non-finite loss, in real runs of mmengine's Runner on a one-layer model."""

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
    """Loss is the weight times the input; NaN where the input is."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1, bias=False)

    def forward(self, x, mode='loss'):
        value = self.layer(x).mean()
        return dict(loss_cls=value, loss_bbox=value * 0 + 1)


def runner(work_dir, values=(1.0,) * 4, lr=0.02, epochs=2, **options):
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
        experiment_name=f'run{next(_NUMBERS)}',
        **options,
    )


_NUMBERS = iter(range(10**6))


def log(work_dir):
    """All that the runs of a folder logged."""
    return ''.join(path.read_text() for path in sorted(work_dir.glob('*/*.log')))


def test_start__prints_the_scaled_rate_and_the_effective_batch(tmp_path):
    run = runner(tmp_path, lr=0.0025, batch_size=4)
    run.train()
    assert (
        'Learning rate 0.005 (scaled linearly from a batch of 2), effective batch 4 (1 process(es) x 4'
        in log(tmp_path)
    )
    assert run.optim_wrapper.param_groups[0]['initial_lr'] == 0.005


def test_resume__uses_the_rate_of_the_config_not_of_the_checkpoint(tmp_path):
    """The reproducibility challenge: 0.02 for two images, corrected to 0.0025, resumed."""
    runner(tmp_path, lr=0.02, epochs=1).train()
    resumed = runner(tmp_path, lr=0.0025, epochs=4, resume=True)
    rates = []
    resumed.register_hook(_Recorder(rates))
    resumed.train()
    assert rates == pytest.approx([0.0025] * 2 + [0.00025] * 4)
    assert 'go on at a learning rate of 0.02; the config gives 0.0025 at this point' in log(tmp_path)


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
def test_resume__follows_the_configs_schedule_as_an_uninterrupted_run(tmp_path, schedule):
    """Resumed from a run of another rate, schedule and length, in the middle of a schedule."""
    whole, parts = [], []
    run = runner(tmp_path / 'whole', lr=0.0025, epochs=4, param_scheduler=schedule)
    run.register_hook(_Recorder(whole))
    run.train()
    runner(tmp_path / 'parts', lr=0.02, epochs=2).train()
    run = runner(tmp_path / 'parts', lr=0.0025, epochs=4, param_scheduler=schedule, resume=True)
    run.register_hook(_Recorder(parts))
    run.train()
    assert len(set(whole)) > 2
    assert parts == pytest.approx(whole[4:])


def test_resume__with_another_batch_size_counts_its_own_iterations(tmp_path):
    schedule = dict(type='CosineAnnealingLR', by_epoch=True, convert_to_iter_based=True)
    runner(tmp_path, values=[1.0] * 8, batch_size=1, epochs=2, param_scheduler=schedule).train()
    run = runner(tmp_path, values=[1.0] * 8, batch_size=4, epochs=4, param_scheduler=schedule, resume=True)
    run.register_hook(_Recorder(rates := []))
    run.train()
    assert rates[0] == pytest.approx(0.02 * 2 / 2)  # half of the schedule, at twice the scaled rate


def test_resume__at_the_same_rate_changes_nothing(tmp_path):
    runner(tmp_path, lr=0.01, epochs=3).train()
    resumed = runner(tmp_path, lr=0.01, epochs=4, resume=True)
    resumed.register_hook(_Recorder(rates := []))
    resumed.train()
    assert rates == pytest.approx([0.001] * 2)
    assert 'the config decides' not in log(tmp_path)


@pytest.mark.parametrize('at', ['iter_3.pth', 'iter_4.pth', 'iter_5.pth'])
@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('first', ['CosineAnnealingLR', 'PolyLR', 'OneCycleLR'])
def test_resume__from_within_an_epoch_goes_on_at_the_iterations_rate(tmp_path, first, by_epoch, at):
    """Up to the end of the epoch: mmengine repeats it from its first batch in an epoch-based loop."""
    options = dict(
        values=[1.0] * 8,
        train_cfg=dict(by_epoch=by_epoch, **(dict(max_epochs=3) if by_epoch else dict(max_iters=12))),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=1)),
        sampler='DefaultSampler' if by_epoch else 'InfiniteSampler',
        param_scheduler=[
            dict(type=first, by_epoch=False, **SCHEDULES[first]),
            dict(type='LinearLR', start_factor=0.001, by_epoch=False, end=6),
        ],
        auto_scale_lr=dict(enable=True, base_batch_size=1),
    )
    run = runner(tmp_path, **options)
    run.register_hook(_Recorder(whole := []))
    run.train()
    run = runner(tmp_path, **options, resume=True, load_from=str(tmp_path / at))
    run.register_hook(_Recorder(rest := []))
    run.train()
    start = int(at[5])
    assert len(set(whole)) > 6
    assert rest[: 12 - start] == whole[start:]


SCHEDULES = dict(
    CosineAnnealingLR=dict(eta_min=0.001),
    PolyLR=dict(eta_min=0.001),
    OneCycleLR=dict(eta_max=0.1),
)


def test_resume__of_a_longer_iteration_based_run_counts_no_epoch(tmp_path):
    """The end of the first run is no border of an epoch in the second."""
    schedule = [
        dict(type='MultiStepLR', milestones=[1], gamma=0.1, by_epoch=True),
        dict(type='LinearLR', start_factor=0.5, by_epoch=False, end=20),
    ]
    options = dict(values=[1.0] * 6, sampler='InfiniteSampler', param_scheduler=schedule)
    run = runner(tmp_path / 'whole', **options, train_cfg=dict(by_epoch=False, max_iters=12))
    run.register_hook(_Recorder(whole := []))
    run.train()
    runner(tmp_path / 'parts', **options, train_cfg=dict(by_epoch=False, max_iters=5)).train()
    assert (tmp_path / 'parts/epoch_1.pth').is_file()
    run = runner(tmp_path / 'parts', **options, train_cfg=dict(by_epoch=False, max_iters=12), resume=True)
    run.register_hook(_Recorder(rest := []))
    run.train()
    assert rest == whole[5:]


def test_resume__of_a_schedule_that_follows_a_metric_says_so(tmp_path):
    schedule = dict(type='ReduceOnPlateauLR', monitor='loss')
    runner(tmp_path, lr=0.02, epochs=1, param_scheduler=schedule).train()
    runner(tmp_path, lr=0.01, epochs=2, param_scheduler=schedule, resume=True).train()
    assert 'ReduceOnPlateauLR depends on past evaluations' in log(tmp_path)


class _Recorder(Hook):
    def __init__(self, rates):
        self.rates = rates

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self.rates.append(runner.optim_wrapper.param_groups[0]['lr'])


@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_non_finite_loss__stops_at_once_and_keeps_the_last_good_checkpoint(tmp_path, value):
    with pytest.raises(NonFiniteLossError) as error:
        runner(tmp_path, values=[1.0, 1.0], epochs=1).train()
        runner(tmp_path, values=[1.0, 1.0, 1.0, value], epochs=3, resume=True, lr=0.0025).train()
    message = str(error.value)
    term = 'loss_cls nan' if math.isnan(value) else 'inf'
    place = ('iteration 3 (epoch 2)', term, 'loss_bbox', 'epoch_1.pth')
    for text in (*place, 'learning rate 0.0025', 'effective batch 2', '--resume'):
        assert text in message, message
    assert [p.name for p in tmp_path.glob('*.pth')] == ['epoch_1.pth']
    assert read_checkpoint(tmp_path / 'epoch_1.pth')['state_dict']['layer.weight'].isfinite().all()


def test_non_finite_weights__are_not_saved(tmp_path):
    """The loss is finite, the update overflows in the epoch's last iteration."""
    with pytest.raises(NonFiniteLossError, match='layer.weight; this checkpoint is not saved'):
        runner(tmp_path, values=[3e38, 3e38], lr=3e38, epochs=1, auto_scale_lr=dict(enable=False)).train()
    assert list(tmp_path.glob('*.pth')) == []


def test_hooks__read_the_rates_of_several_optimizers(tmp_path):
    """Where the model steps them itself, as in a GAN."""

    class Twice(Model):
        def train_step(self, data, optim_wrapper):
            losses = self(**data)
            for wrapper in optim_wrapper.values():
                wrapper.update_params(losses['loss_cls'] + 0)
                losses = self(**data)
            return losses

    model = Twice()
    optimizers = {name: OptimWrapper(torch.optim.SGD(model.parameters(), lr)) for name, lr in RATES.items()}
    run = runner(tmp_path, values=[math.nan] * 2, model=model, wrapper_object=OptimWrapperDict(**optimizers))
    with pytest.raises(NonFiniteLossError, match='learning rate 0.1 to 0.2 .*; 0.2 at this iteration'):
        run.train()


RATES = dict(a=0.1, b=0.2)


@pytest.mark.parametrize(
    ('options', 'advice'),
    [
        (dict(lr=0.02), '8.0 times the linear rule; --cfg-options optim_wrapper.optimizer.lr=0.0025'),
        (dict(lr=0.002), 'clip_grad'),
        (dict(lr=0.002, wrapper=dict(clip_grad=dict(max_norm=1))), 'halve the rate'),
        (dict(optimizer=dict(type='AdamW', lr=1.0)), 'clip_grad'),
    ],
)
def test_non_finite_loss__gives_the_advice_that_fits(tmp_path, options, advice):
    with pytest.raises(NonFiniteLossError, match=advice):
        runner(tmp_path, values=[math.nan] * 2, **options).train()


def test_rate_above_the_linear_rule__is_warned_of_at_the_start(tmp_path):
    run = runner(tmp_path, lr=0.02)
    run.train()
    assert 'This rate is 8.0 times that of the linear rule for SGD (0.0025 for this batch)' in log(tmp_path)
