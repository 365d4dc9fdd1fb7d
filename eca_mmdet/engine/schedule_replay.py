"""Set the schedules of a run to any point of its training, without training.

mmengine's schedulers compute a value from the one before, and several of them may change the
same value. So the only exact way to a point of the training is to step all of them in the order
in which the training does. Here mmengine's own ``ParamSchedulerHook`` does so, on stand-ins for
the optimizers.
"""

from copy import copy, deepcopy
from typing import Any, Dict, List, Tuple

from mmengine.hooks import ParamSchedulerHook
from mmengine.optim import _ParamScheduler
from mmengine.runner import IterBasedTrainLoop, Runner
from torch import Tensor

Start = Dict[str, Tuple[List[Dict[str, Any]], List[Dict[str, Any]]]]
"""For each optimizer the hyperparameters of its groups and the states of its schedulers."""


def by_optimizer(runner: Runner) -> Dict[str, Tuple[List[dict], List[_ParamScheduler]]]:
    """The parameter groups and schedulers of each of a run's optimizers, often only one."""
    groups, schedulers = runner.optim_wrapper.param_groups, runner.param_schedulers or []
    groups = groups if isinstance(groups, dict) else {'': groups}
    schedulers = schedulers if isinstance(schedulers, dict) else {'': schedulers}
    return {name: (groups[name], schedulers.get(name, [])) for name in groups}


def start_of(runner: Runner) -> Start:
    """Copy what ``replay`` starts from, in a run that has just been built."""
    return {
        name: deepcopy(([_hyperparameters(group) for group in groups], [s.state_dict() for s in schedulers]))
        for name, (groups, schedulers) in by_optimizer(runner).items()
    }


def iterations_into_epoch(checkpoint: Dict[str, Any]) -> int:
    """Count the iterations of an unfinished epoch that a checkpoint has behind it."""
    meta, hub = checkpoint.get('meta') or {}, checkpoint.get('message_hub') or {}
    info = hub.get('runtime_info') or {}
    counts = [meta.get('epoch'), meta.get('iter'), info.get('max_iters'), info.get('max_epochs')]
    # At the end of an epoch mmengine counts it in `meta` already, and in the hub not yet.
    if not all(isinstance(count, int) for count in counts) or info.get('epoch') != meta['epoch']:
        return 0
    epoch, iteration, max_iters, max_epochs = counts
    length = max_iters // max(1, max_epochs)
    count = iteration - epoch * length
    return count if 0 <= count <= length else 0


def replay(runner: Runner, start: Start, into_epoch: int = 0) -> None:
    """Give the parameter groups and schedulers the values that an uninterrupted run has now.

    The point of the training is ``runner.iter`` in an ``IterBasedTrainLoop``. In other loops it is
    ``runner.epoch``, with epochs as long as they are now: those of the checkpoint were of another
    length if the batch size has changed.

    Args:
        runner: A run that has loaded the checkpoint to resume.
        start: What ``start_of`` gave before that.
        into_epoch: Iterations of the epoch after ``runner.epoch``.
    """
    stand_ins = {}
    for name, (groups, schedulers) in by_optimizer(runner).items():
        for group, hyperparameters in zip(groups, start[name][0]):
            group.update(deepcopy(hyperparameters))
        for scheduler, state in zip(schedulers, start[name][1]):
            scheduler.load_state_dict(deepcopy(state))
        stand_ins[name] = _StandIn(groups, schedulers)
    stepped = copy(runner)
    stepped.param_schedulers = {name: stand_in.schedulers for name, stand_in in stand_ins.items()}
    hooks = [hook for hook in runner.hooks if isinstance(hook, ParamSchedulerHook)]
    is_by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
    for _ in range(0 if is_by_iter else runner.epoch):
        _step(hooks, stepped, len(runner.train_dataloader))
        for hook in hooks:
            hook.after_train_epoch(stepped)
    _step(hooks, stepped, runner.iter if is_by_iter else into_epoch)
    for name, (groups, schedulers) in by_optimizer(runner).items():
        stand_ins[name].copy_to(groups, schedulers)


def _step(hooks: List[ParamSchedulerHook], runner: Runner, iterations: int) -> None:
    for i in range(iterations):
        for hook in hooks:
            hook.after_train_iter(runner, i)


def _hyperparameters(group: Dict[str, Any]) -> Dict[str, Any]:
    return {key: value for key, value in group.items() if key != 'params'}


class _StandIn:
    """An optimizer for schedulers only: one parameter group for all that start alike.

    Detectors have up to one group for each of their hundreds of tensors, but few different ones.
    """

    def __init__(self, groups: List[dict], schedulers: List[_ParamScheduler]) -> None:
        kinds = [_kind(i, group, schedulers) for i, group in enumerate(groups)]
        first = {kind: i for i, kind in reversed(list(enumerate(kinds)))}
        indices = sorted(first.values())
        self.param_groups = [_hyperparameters(groups[i]) for i in indices]
        self.index = [indices.index(first[kind]) for kind in kinds]
        self.schedulers = [copy(scheduler) for scheduler in schedulers]
        for scheduler in self.schedulers:
            self.optimizer = scheduler.optimizer
            scheduler.optimizer, scheduler.verbose = self, False
            scheduler.base_values = [scheduler.base_values[i] for i in indices]
            scheduler._last_value = [scheduler._last_value[i] for i in indices]
        self._global_step = 0  # so that no scheduler warns of being stepped before its optimizer

    def __getattr__(self, name: str) -> Any:
        if name == 'optimizer':  # there are no schedulers
            raise AttributeError(name)
        return getattr(self.optimizer, name)

    def copy_to(self, groups: List[dict], schedulers: List[_ParamScheduler]) -> None:
        """Copy what the schedulers changed to the groups and schedulers that this stands in for."""
        for i, group in zip(self.index, groups):
            group.update(deepcopy(self.param_groups[i]))
        for mine, scheduler in zip(self.schedulers, schedulers):
            kept = {key: vars(scheduler)[key] for key in ('optimizer', 'verbose', 'base_values')}
            values = [mine._last_value[i] for i in self.index]
            vars(scheduler).update(vars(mine), **kept, _last_value=values)


def _kind(i: int, group: dict, schedulers: List[_ParamScheduler]) -> Tuple:
    """What tells parameter group ``i`` from others in every schedule."""
    for scheduler in schedulers:
        state = {k: v for k, v in vars(scheduler).items() if k not in ('base_values', '_last_value')}
        count = len(scheduler.base_values)
        if any(isinstance(value, (list, tuple)) and len(value) == count for value in state.values()):
            return (i,)  # it may hold a value for each group
    values = [
        (key, id(v) if isinstance(v, Tensor) else repr(v)) for key, v in _hyperparameters(group).items()
    ]
    return (*sorted(values), *(scheduler.base_values[i] for scheduler in schedulers))
