"""The learning rate of a run: stated at its start, and the config's after a resume."""

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

from ..schedule_replay import Start, by_optimizer, iterations_into_epoch, replay, start_of


def model_of(runner: Runner) -> nn.Module:
    """The model itself, without a wrapper such as DistributedDataParallel."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def param_groups(runner: Runner) -> List[Dict[str, Any]]:
    """The parameter groups of all optimizers of a run."""
    return [group for groups, _ in by_optimizer(runner).values() for group in groups]


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
    rates = sorted({group.get('initial_lr', group['lr']) for group in param_groups(runner)})
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
    """How many times the rate exceeds SGD's linear rule; 0 for other or several optimizers."""
    if type(getattr(runner.optim_wrapper, 'optimizer', None)).__name__ != 'SGD':
        return 0
    rate = max(group.get('initial_lr', group['lr']) for group in param_groups(runner))
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
    _start: Optional[Start] = None
    _into_epoch = 0

    def before_run(self, runner: Runner) -> None:
        """Note the config's rates and schedules, scaled and before a checkpoint is loaded."""
        if isinstance(runner.optim_wrapper, OptimWrapper):  # not in a test
            self._start = start_of(runner)

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Note where in an epoch the checkpoint was saved."""
        self._into_epoch = iterations_into_epoch(checkpoint)

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Leave out functions in the state of schedulers (``OneCycleLR``), which no safe load accepts."""
        saved = checkpoint.get('param_schedulers') or []
        for states in saved.values() if isinstance(saved, dict) else [saved]:
            states[:] = [{k: v for k, v in state.items() if not callable(v)} for state in states]

    def before_train(self, runner: Runner) -> None:
        """Put the config's rates back after a resume, and print what the run uses."""
        if self._start is None:
            return
        if runner.iter > 0:
            self._follow_config(runner)
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

    def _follow_config(self, runner: Runner) -> None:
        schedulers = [scheduler for _, own in by_optimizer(runner).values() for scheduler in own]
        follow_metric = sorted({type(s).__name__ for s in schedulers if hasattr(s, 'need_val_args')})
        if follow_metric:
            print_log(
                f'{", ".join(follow_metric)} depends on past evaluations, so the learning rate goes on '
                "as in the checkpoint, not as in the config's schedules.",
                logger='current',
                level=logging.WARNING,
            )
            return
        restored = [group['lr'] for group in param_groups(runner)]
        replay(runner, self._start, self._into_epoch)
        for old, group in zip(restored, param_groups(runner)):
            if abs(old - group['lr']) > 1e-6 * abs(old):
                print_log(
                    f'The checkpoint would go on at a learning rate of {old:g}; the config gives '
                    f'{group["lr"]:g} at this point (initially {group.get("initial_lr", group["lr"]):g}), '
                    'and the config decides.',
                    logger='current',
                    level=logging.WARNING,
                )
                break
