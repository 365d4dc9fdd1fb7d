"""Simulate runs with learning rate schedules but without a model, and draw random schedules.

Learning rates depend on the schedules only, so it is enough to step these in the order of mmengine.
"""

from copy import deepcopy

import mmdet.engine  # noqa: F401  registers its schedulers
import torch
from hypothesis import assume
from hypothesis import strategies as st
from mmdet.registry import PARAM_SCHEDULERS
from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import OptimWrapper, OptimWrapperDict
from mmengine.runner import EpochBasedTrainLoop, IterBasedTrainLoop

from eca_mmdet.engine import LearningRateHook

LENGTH, EPOCHS = 5, 6


class Run:
    """The parts of mmengine's ``Runner`` that schedules use: optimizers, schedulers and counters."""

    auto_scale_lr, model, hooks = None, torch.nn.Identity(), [ParamSchedulerHook()]

    def __init__(
        self, schedules, groups, optimizer='SGD', by_epoch=True, length=LENGTH, two_optimizers=False
    ):
        self.iter = self.epoch = 0
        self.train_loop = object.__new__(EpochBasedTrainLoop if by_epoch else IterBasedTrainLoop)
        self.train_dataloader = Loader(length)
        wrappers = [build_optimizer(optimizer, groups) for _ in range(1 + two_optimizers)]
        built = [build_schedulers(schedules, wrapper, length) for wrapper in wrappers]
        self.optim_wrapper, self.param_schedulers = wrappers[0], built[0]
        if two_optimizers:
            self.optim_wrapper = OptimWrapperDict(a=wrappers[0], b=wrappers[1])
            self.param_schedulers = dict(a=built[0], b=built[1][::-1])

    @property
    def wrappers(self):
        if isinstance(self.optim_wrapper, OptimWrapperDict):
            return list(self.optim_wrapper.values())
        return [self.optim_wrapper]

    @property
    def schedulers(self):
        if isinstance(self.param_schedulers, dict):
            return list(self.param_schedulers.values())
        return [self.param_schedulers]

    def values(self):
        """Return the hyperparameters of all parameter groups."""
        groups = [group for wrapper in self.wrappers for group in wrapper.param_groups]
        return [{key: value for key, value in group.items() if key != 'params'} for group in groups]

    def train(self, until):
        """Step like mmengine's loops and ``ParamSchedulerHook``; return the values before each iteration."""
        values = []
        while self.iter < until:
            values.append(deepcopy(self.values()))
            self.step(by_epoch=False)
            self.iter += 1
            is_end_of_epoch = self.iter % len(self.train_dataloader) == 0
            if isinstance(self.train_loop, EpochBasedTrainLoop) and is_end_of_epoch:
                self.step(by_epoch=True)
                self.epoch += 1
        return values

    def step(self, by_epoch):
        for schedulers in self.schedulers:
            for scheduler in schedulers:
                if scheduler.by_epoch is by_epoch:
                    scheduler.step()

    def checkpoint(self):
        """Return the entries of a checkpoint that a resume uses."""
        is_end_of_epoch = self.iter % len(self.train_dataloader) == 0
        info = dict(
            epoch=self.epoch - is_end_of_epoch,
            max_epochs=EPOCHS,
            max_iters=EPOCHS * len(self.train_dataloader),
        )
        return deepcopy(
            dict(
                meta=dict(epoch=self.epoch, iter=self.iter),
                message_hub=dict(runtime_info=info),
                optimizers=[wrapper.state_dict() for wrapper in self.wrappers],
                schedulers=[[s.state_dict() for s in schedulers] for schedulers in self.schedulers],
            )
        )

    def resume(self, checkpoint):
        """Load a checkpoint and call the hook in the same order as ``Runner.resume``."""
        hook, checkpoint = LearningRateHook(), deepcopy(checkpoint)
        hook.before_run(self)
        hook.after_load_checkpoint(self, checkpoint)
        self.iter, self.epoch = checkpoint['meta']['iter'], checkpoint['meta']['epoch']
        for wrapper, state in zip(self.wrappers, checkpoint['optimizers']):
            wrapper.load_state_dict(state)
        for schedulers, states in zip(self.schedulers, checkpoint['schedulers']):
            for scheduler, state in zip(schedulers, states):
                scheduler.load_state_dict(state)
        hook.before_train(self)


class Loader:
    """The parts of a data loader that the hook uses."""

    batch_size, batch_sampler = 2, None

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length


def build_optimizer(optimizer, groups):
    options = dict(SGD=dict(momentum=0.9), AdamW=dict())[optimizer]
    parameters = [dict(params=[torch.nn.Parameter(torch.zeros(1))], **group) for group in groups]
    return OptimWrapper(getattr(torch.optim, optimizer)(parameters, lr=0.02, **options))


def build_schedulers(schedules, wrapper, length):
    return [
        PARAM_SCHEDULERS.build(
            {'end': EPOCHS if schedule['by_epoch'] else EPOCHS * length, **schedule},
            default_args=dict(optimizer=wrapper, epoch_length=length),
        )
        for schedule in deepcopy(schedules)
    ]


fraction = st.floats(0.01, 1).map(lambda x: round(x, 3))
small = st.floats(0, 0.02).map(lambda x: round(x, 4))
SCHEDULES = dict(
    Constant=dict(factor=fraction),
    Linear=dict(start_factor=fraction, end_factor=fraction),
    Exponential=dict(gamma=fraction),
    Step=dict(step_size=st.integers(1, 7), gamma=fraction),
    MultiStep=dict(milestones=st.lists(st.integers(0, 20), min_size=1, max_size=3), gamma=fraction),
    Poly=dict(eta_min=small, power=st.sampled_from([0.5, 0.9, 1, 2])),
    CosineAnnealing=dict(eta_min=small, T_max=st.none() | st.integers(1, 12)),
    CosineRestart=dict(eta_min=small, periods=st.lists(st.integers(2, 9), min_size=2, max_size=2)),
    QuadraticWarmup=dict(),
    OneCycle=dict(eta_max=st.floats(0.01, 0.1), three_phase=st.booleans(), pct_start=st.floats(0.3, 0.45)),
)


@st.composite
def schedule(draw):
    """Draw the config of a scheduler."""
    name = draw(st.sampled_from(sorted(SCHEDULES)))
    hyperparameter = 'LR' if name == 'OneCycle' else draw(st.sampled_from(['LR', 'LR', 'Momentum']))
    options = {key: draw(values) for key, values in SCHEDULES[name].items()}
    if name == 'CosineRestart':
        options['restart_weights'] = [1, draw(fraction)]
    by_epoch = draw(st.booleans())
    begin = draw(st.integers(0, 3 if by_epoch else 15))
    if draw(st.booleans()) or name == 'QuadraticWarmup':
        options['end'] = begin + draw(st.integers(1, 4 if by_epoch else 15))
    if by_epoch and draw(st.booleans()):
        options['convert_to_iter_based'] = True
    scope = 'mmdet.' if name == 'QuadraticWarmup' else 'mmengine.'
    return dict(type=f'{scope}{name}{hyperparameter}', by_epoch=by_epoch, begin=begin, **options)


group = st.fixed_dictionaries(
    {}, optional=dict(lr=st.sampled_from([0.1, 0.003]), weight_decay=st.sampled_from([0.0, 0.1]))
)
schedules = st.lists(schedule(), min_size=1, max_size=3)
setups = st.fixed_dictionaries(
    dict(
        groups=st.lists(group, min_size=1, max_size=4),
        optimizer=st.sampled_from(['SGD', 'AdamW']),
        by_epoch=st.booleans(),
    )
)


def train_uninterrupted(schedules, length=LENGTH, **setup):
    """Return the values before each iteration; skip the example if mmengine cannot compute them."""
    try:
        return Run(schedules, length=length, **setup).train(EPOCHS * length)
    except (ZeroDivisionError, ValueError):
        assume(False)
