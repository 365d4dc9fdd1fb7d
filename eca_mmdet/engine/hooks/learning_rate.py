"""The learning rate of a run: stated at its start, and the config's after a resume."""

import logging
import warnings
from copy import deepcopy
from typing import Any, Dict, List

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn


def model_of(runner: Runner) -> nn.Module:
    """The model itself, without a wrapper such as DistributedDataParallel."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def linear_rule(runner: Runner) -> float:
    """SGD's rate for this batch (arXiv 1706.02677): mmdet's 0.02 for 16 images, single-stage 0.01."""
    single_stage = hasattr(model_of(runner), 'bbox_head')
    return (0.01 if single_stage else 0.02) / 16 * images_per_step(runner)


def images_per_step(runner: Runner) -> int:
    """Images that one optimizer step sees: GPUs x images per GPU x accumulated steps."""
    batch = runner.train_dataloader.batch_size or 1  # None where a batch sampler decides
    batch = getattr(runner.train_dataloader.batch_sampler, 'batch_size', batch)
    return get_world_size() * batch * getattr(runner.optim_wrapper, '_accumulative_counts', 1)


def state_rate(runner: Runner) -> str:
    """The rate and batch of a run in words, as the log and error messages show them."""
    rates = sorted({group.get('initial_lr', group['lr']) for group in runner.optim_wrapper.param_groups})
    shown = f'{rates[0]:g}' if len(rates) == 1 else f'{rates[0]:g} to {rates[-1]:g}'
    accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    batch = images_per_step(runner)
    per_gpu = batch // get_world_size() // accumulated
    scaling = runner.auto_scale_lr or {}
    state = (
        f'scaled linearly from a batch of {scaling.get("base_batch_size")}'
        if scaling.get('enable')
        else 'as in the config, not scaled'
    )
    steps = f' x {accumulated} accumulated steps, which the rate is not scaled for' if accumulated > 1 else ''
    return (
        f'learning rate {shown} ({state}), effective batch {batch} '
        f'({get_world_size()} process(es) x {per_gpu} images{steps})'
    )


def above_linear_rule(runner: Runner) -> float:
    """How many times the rate exceeds SGD's linear rule; 0 for other optimizers."""
    if type(runner.optim_wrapper.optimizer).__name__ != 'SGD':
        return 0
    rate = max(group.get('initial_lr', group['lr']) for group in runner.optim_wrapper.param_groups)
    return rate / linear_rule(runner)


@HOOKS.register_module()
class LearningRateHook(Hook):
    """Prints the effective batch and rate, and keeps a resume from changing them.

    A checkpoint carries the optimizer's rate and the state of its schedules, and
    resuming restores both whatever the config says. The reproducibility challenge of
    ECA-Net lost its second half to this: it corrected 0.02 to 0.0025 and went on at
    0.02. Here the config decides: its schedules are run through the iterations that
    the checkpoint has behind it, so that the rate is the one that an uninterrupted
    run of this config would have had.
    """

    priority = 'VERY_HIGH'

    def before_run(self, runner: Runner) -> None:
        """Note the config's rates and schedules, scaled and before a checkpoint is loaded."""
        self._start = None
        schedulers = getattr(runner, 'param_schedulers', None) or []
        # Several optimizers, and schedules that follow a metric, are left to mmengine.
        if not hasattr(runner.optim_wrapper, 'param_groups') or not isinstance(schedulers, list):
            return
        if any(hasattr(scheduler, 'need_val_args') for scheduler in schedulers):
            return
        groups = [_hyperparameters(group) for group in runner.optim_wrapper.param_groups]
        self._start = deepcopy((groups, [scheduler.state_dict() for scheduler in schedulers]))

    def before_train(self, runner: Runner) -> None:
        """Put the config's rates back after a resume, and print what the run uses."""
        if self._start is None:
            return
        groups = runner.optim_wrapper.param_groups
        restored = [group['lr'] for group in groups]
        if runner.iter > 0:
            _replay(runner, *self._start)
        for old, group in zip(restored, groups):
            if abs(old - group['lr']) > 1e-6 * abs(old):
                print_log(
                    f'The checkpoint would go on at a learning rate of {old:g}; the config gives '
                    f'{group["lr"]:g} at this point (initially {group.get("initial_lr", group["lr"]):g}), '
                    'and the config decides.',
                    logger='current',
                    level=logging.WARNING,
                )
                break
        state = state_rate(runner)
        print_log(state[0].upper() + state[1:], logger='current')
        excess = above_linear_rule(runner)
        if excess > 1.9:
            print_log(
                f'This rate is {excess:.1f} times that of the linear rule for SGD '
                f'({linear_rule(runner):g} for this batch); training may diverge.',
                logger='current',
                level=logging.WARNING,
            )


def _hyperparameters(group: Dict[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in group.items() if key != 'params'}


def _replay(runner: Runner, groups: List[Dict[str, Any]], states: List[Dict[str, Any]]) -> None:
    """Run the config's schedules from the start to the resumed iteration."""
    schedulers = runner.param_schedulers or []
    for group, start in zip(runner.optim_wrapper.param_groups, groups):
        group.update(deepcopy(start))
    for scheduler, state in zip(schedulers, states):
        scheduler.load_state_dict(deepcopy(state))
    # Epochs as long as they are now: the checkpoint's had other batches if the batch size changed.
    lengths = [len(runner.train_dataloader)] * runner.epoch or [runner.iter]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of schedules stepped before the optimizer
        for iterations in lengths:
            for scheduler in schedulers:
                for _ in range(0 if scheduler.by_epoch else iterations):
                    scheduler.step()
            for scheduler in schedulers if runner.epoch else []:
                if scheduler.by_epoch:
                    scheduler.step()
