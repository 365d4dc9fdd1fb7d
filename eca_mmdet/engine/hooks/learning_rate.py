"""Log the learning rate at the start of a run, and use that of the config after a resume."""

import logging
from typing import Any, Dict, List, Optional

from mmengine.dist import get_world_size
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import Runner
from torch import nn

from ...hosts import host_of
from ..schedule_replay import (
    InitialState,
    copy_initial_state,
    groups_and_schedulers,
    iterations_into_epoch,
    replay,
)


def unwrap_model(runner: Runner) -> nn.Module:
    """Return the model of a run without wrappers such as ``DistributedDataParallel``."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def param_groups(runner: Runner) -> List[Dict[str, Any]]:
    """Return the parameter groups of all optimizers of a run."""
    return [group for groups, _ in groups_and_schedulers(runner).values() for group in groups]


def linear_rule(runner: Runner) -> float:
    """Return SGD's learning rate for the batch size of a run, by the linear rule (arXiv 1706.02677).

    The rule starts from mmdet's rates for 16 images, 0.01 for single-stage detectors and 0.02 for others.
    """
    is_single_stage = hasattr(unwrap_model(runner), 'bbox_head')
    return (0.01 if is_single_stage else 0.02) / 16 * images_per_step(runner)


def images_per_step(runner: Runner) -> int:
    """Return the effective batch size: GPUs x images per GPU x accumulated steps."""
    batch = runner.train_dataloader.batch_size or 1  # None if there is a batch sampler
    batch = getattr(runner.train_dataloader.batch_sampler, 'batch_size', batch)
    return get_world_size() * batch * getattr(runner.optim_wrapper, '_accumulative_counts', 1)


def describe_rate(runner: Runner) -> str:
    """Describe the learning rate and batch size of a run for the log and error messages."""
    rates = sorted({group.get('initial_lr', group['lr']) for group in param_groups(runner)})
    shown = f'{rates[0]:g}' if len(rates) == 1 else f'{rates[0]:g} to {rates[-1]:g}'
    accumulated = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
    batch = images_per_step(runner)
    per_gpu = batch // get_world_size() // accumulated
    auto_scale_lr = runner.auto_scale_lr or {}
    scaling = 'as in the config, not scaled'
    if auto_scale_lr.get('enable'):
        scaling = f'scaled linearly from a batch of {auto_scale_lr.get("base_batch_size")}'
    steps = f' x {accumulated} accumulated steps; the rate is not scaled for these' if accumulated > 1 else ''
    return (
        f'learning rate {shown} ({scaling}), effective batch {batch} '
        f'({get_world_size()} process(es) x {per_gpu} images{steps})'
    )


def ratio_to_linear_rule(runner: Runner) -> float:
    """Return the ratio of the learning rate to SGD's linear rule.

    It is 0 for other or several optimizers, and for other tasks than detection.
    """
    optimizer = getattr(runner.optim_wrapper, 'optimizer', None)
    if type(optimizer).__name__ != 'SGD' or host_of(getattr(runner, 'cfg', {})).scope != 'mmdet':
        return 0
    rate = max(group.get('initial_lr', group['lr']) for group in param_groups(runner))
    return rate / linear_rule(runner)


@HOOKS.register_module()
class LearningRateHook(Hook):
    """Log the learning rate and batch size, and use the schedules of the config after a resume.

    A checkpoint contains the learning rate and the state of the schedules. mmengine restores both in a
    resume and ignores a changed rate in the config. The reproducibility challenge of ECA-Net lost its second
    half to this: the rate was corrected from 0.02 to 0.0025, but the resumed training continued at 0.02.

    With this hook, the schedules of the config are replayed up to the iteration of the checkpoint. So the
    rate is that of an uninterrupted run of the config.
    """

    priority = 'VERY_HIGH'
    _initial_state: Optional[InitialState] = None
    _into_epoch = 0

    def before_run(self, runner: Runner) -> None:
        """Copy the rates and schedules of the config, after scaling and before a checkpoint is loaded."""
        if isinstance(runner.optim_wrapper, OptimWrapper):  # a test builds no optimizer
            self._initial_state = copy_initial_state(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Record at which iteration of its epoch the checkpoint was saved."""
        self._into_epoch = iterations_into_epoch(checkpoint)

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Remove functions from the state of schedulers (``OneCycleLR``); a safe load rejects them."""
        saved = checkpoint.get('param_schedulers') or []
        for states in saved.values() if isinstance(saved, dict) else [saved]:
            states[:] = [{k: v for k, v in state.items() if not callable(v)} for state in states]

    def before_train(self, runner: Runner) -> None:
        """Restore the rates of the config after a resume, and log the rate of the run."""
        if self._initial_state is None:
            return
        if runner.iter > 0:
            self._follow_config(runner, self._initial_state)
        description = describe_rate(runner)
        print_log(description[0].upper() + description[1:], logger='current')
        ratio = ratio_to_linear_rule(runner)
        if ratio > 1.9:
            print_log(
                f'This rate is {ratio:.1f} times that of the linear rule for SGD '
                f'({linear_rule(runner):g} for this batch); training may diverge.',
                logger='current',
                level=logging.WARNING,
            )

    def _follow_config(self, runner: Runner, initial_state: InitialState) -> None:
        schedulers = [scheduler for _, own in groups_and_schedulers(runner).values() for scheduler in own]
        follow_metric = sorted({type(s).__name__ for s in schedulers if hasattr(s, 'need_val_args')})
        if follow_metric:
            print_log(
                f'{", ".join(follow_metric)} depends on past evaluations, so the run uses the learning rate '
                'of the checkpoint instead of the schedules of the config.',
                logger='current',
                level=logging.WARNING,
            )
            return
        restored = [group['lr'] for group in param_groups(runner)]
        replay(runner, initial_state, self._into_epoch)
        for old, group in zip(restored, param_groups(runner)):
            if abs(old - group['lr']) > 1e-6 * abs(old):
                print_log(
                    f'The checkpoint has the learning rate {old:g}, the config {group["lr"]:g} at this point '
                    f'(initially {group.get("initial_lr", group["lr"]):g}). The rate of the config is used.',
                    logger='current',
                    level=logging.WARNING,
                )
                break
