"""Set the learning rate schedules of a run to any iteration without training.

mmengine's schedulers compute each value from the previous one, and several schedulers may change the same
value. So the only exact way to the values of an iteration is to step all schedulers in the order of the
training. mmengine's ``ParamSchedulerHook`` does that here, with copies of the optimizers' parameter groups.
"""

from copy import copy, deepcopy
from typing import Any, Dict, List, Tuple

from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import _ParamScheduler
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor

InitialState = Dict[str, Tuple[List[Dict[str, Any]], List[Dict[str, Any]]]]
"""For each optimizer, the hyperparameters of its parameter groups and the states of its schedulers."""


def groups_and_schedulers(runner: Runner) -> Dict[str, Tuple[List[dict], List[_ParamScheduler]]]:
    """Return the parameter groups and schedulers of each optimizer of a run, by its name.

    The name of a single optimizer is ``''``.
    """
    groups, schedulers = runner.optim_wrapper.param_groups, runner.param_schedulers or []
    groups = groups if isinstance(groups, dict) else {'': groups}
    schedulers = schedulers if isinstance(schedulers, dict) else {'': schedulers}
    return {name: (groups[name], schedulers.get(name, [])) for name in groups}


def copy_initial_state(runner: Runner) -> InitialState:
    """Copy the hyperparameters and scheduler states of a run that has just been built."""
    state = {}
    for name, (groups, schedulers) in groups_and_schedulers(runner).items():
        hyperparameters = [_hyperparameters(group) for group in groups]
        state[name] = deepcopy((hyperparameters, [scheduler.state_dict() for scheduler in schedulers]))
    return state


def iterations_into_epoch(checkpoint: Dict[str, Any]) -> int:
    """Count the iterations that a checkpoint has completed in an unfinished epoch.

    The result is 0 if the checkpoint was saved at the end of an epoch, or does not contain this information.
    """
    meta, hub = checkpoint.get('meta') or {}, checkpoint.get('message_hub') or {}
    info = hub.get('runtime_info') or {}
    counts: List[Any] = [meta.get('epoch'), meta.get('iter'), info.get('max_iters'), info.get('max_epochs')]
    # At the end of an epoch, mmengine has increased the epoch in `meta`, but not yet in the message hub.
    if not all(isinstance(count, int) for count in counts) or info.get('epoch') != meta['epoch']:
        return 0
    epoch, iteration, max_iters, max_epochs = counts
    length = max_iters // max(1, max_epochs)
    count = iteration - epoch * length
    return count if 0 <= count <= length else 0


def replay(runner: Runner, initial_state: InitialState, into_epoch: int = 0) -> None:
    """Set parameter groups and schedulers to the values of an uninterrupted run at the same point.

    In an ``IterBasedTrainLoop`` the point is ``runner.iter``. In other loops it is ``runner.epoch`` and
    ``into_epoch``. Epochs have their current length, which differs from that in the run that saved the
    checkpoint if the batch size has changed.

    Args:
        runner: A run that has loaded the checkpoint to resume.
        initial_state: Result of ``copy_initial_state`` before the checkpoint was loaded.
        into_epoch: Completed iterations of the current epoch.
    """
    stand_ins = {}
    for name, (groups, schedulers) in groups_and_schedulers(runner).items():
        initial_groups, initial_schedulers = initial_state[name]
        for group, hyperparameters in zip(groups, initial_groups):
            group.update(deepcopy(hyperparameters))
        for scheduler, scheduler_state in zip(schedulers, initial_schedulers):
            scheduler.load_state_dict(deepcopy(scheduler_state))
        stand_ins[name] = _StandInOptimizer(groups, schedulers)
    stepped = copy(runner)
    stepped.param_schedulers = {name: stand_in.schedulers for name, stand_in in stand_ins.items()}
    hooks = [hook for hook in runner.hooks if isinstance(hook, ParamSchedulerHook)]
    is_by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
    for _ in range(0 if is_by_iter else runner.epoch):
        _step(hooks, stepped, len(runner.train_dataloader))
        for hook in hooks:
            hook.after_train_epoch(stepped)
    _step(hooks, stepped, runner.iter if is_by_iter else into_epoch)
    for name, (groups, schedulers) in groups_and_schedulers(runner).items():
        stand_ins[name].copy_to(groups, schedulers)


def _step(hooks: List[ParamSchedulerHook], runner: Runner, iterations: int) -> None:
    for i in range(iterations):
        for hook in hooks:
            hook.after_train_iter(runner, i)


def _hyperparameters(group: Dict[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in group.items() if key != 'params'}


class _StandInOptimizer:
    """A minimal optimizer for schedulers, with one parameter group for all groups with equal values.

    Detectors may have a parameter group for each of their hundreds of tensors, but few different groups.
    """

    def __init__(self, groups: List[dict], schedulers: List[_ParamScheduler]) -> None:
        keys = [_group_key(i, group, schedulers) for i, group in enumerate(groups)]
        distinct_keys = list(dict.fromkeys(keys))
        indices = [keys.index(key) for key in distinct_keys]
        self.param_groups = [_hyperparameters(groups[i]) for i in indices]
        self.index = [distinct_keys.index(key) for key in keys]
        self.schedulers = [copy(scheduler) for scheduler in schedulers]
        for scheduler in self.schedulers:
            self.optimizer = scheduler.optimizer
            scheduler.optimizer, scheduler.verbose = self, False
            scheduler.base_values = [scheduler.base_values[i] for i in indices]
            scheduler._last_value = [scheduler._last_value[i] for i in indices]
        self._global_step = 0  # schedulers would warn that they are stepped before their optimizer

    def __getattr__(self, name: str) -> Any:
        if name == 'optimizer':  # not set, because there are no schedulers
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def copy_to(self, groups: List[dict], schedulers: List[_ParamScheduler]) -> None:
        """Copy the changes of the schedulers to the original groups and schedulers."""
        for i, group in zip(self.index, groups):
            group.update(deepcopy(self.param_groups[i]))
        for stepped, scheduler in zip(self.schedulers, schedulers):
            unchanged = {key: vars(scheduler)[key] for key in ('optimizer', 'verbose', 'base_values')}
            values = [stepped._last_value[i] for i in self.index]
            vars(scheduler).update(vars(stepped), **unchanged, _last_value=values)


def _group_key(i: int, group: dict, schedulers: List[_ParamScheduler]) -> Tuple:
    """Return a key that is equal for parameter groups that all schedulers treat equally."""
    for scheduler in schedulers:
        state = {k: v for k, v in vars(scheduler).items() if k not in ('base_values', '_last_value')}
        count = len(scheduler.base_values)
        if any(isinstance(value, (list, tuple)) and len(value) == count for value in state.values()):
            return (i,)  # the list may hold one value per group
    values = [
        (key, id(value) if isinstance(value, Tensor) else repr(value))
        for key, value in _hyperparameters(group).items()
    ]
    states = [(scheduler.base_values[i], scheduler._last_value[i]) for scheduler in schedulers]
    return (*sorted(values), *states)
