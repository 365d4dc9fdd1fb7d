"""Continue an interrupted training as if nothing had happened."""

from typing import Any, Dict, List, Optional

from mmengine.dist import get_rank
from mmengine.hooks import EarlyStoppingHook, Hook
from mmengine.optim import OptimWrapper
from mmengine.registry import HOOKS
from mmengine.runner import IterBasedTrainLoop, Runner

from ..counted_randomness import seed_iteration
from ..resumable_batches import ResumedIterator
from ..schedule_replay import groups_and_schedulers, iterations_into_epoch


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Give a resumed run the random numbers and the batches of the uninterrupted one.

    The hook seeds all generators in every iteration, skips batches that the checkpoint was trained on, and
    restores gradients that were accumulated but not yet applied. It needs the data loader of
    ``eca_mmdet.apis.make_resumable``.
    """

    priority = 'VERY_HIGH'

    def __init__(self) -> None:
        self._into_epoch = 0
        self._gradients: Optional[List[Any]] = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Record how many batches of an unfinished epoch the checkpoint was trained on."""
        if runner._resume:
            self._into_epoch = iterations_into_epoch(checkpoint)
            self._gradients = checkpoint.get('accumulated_gradients')

    def before_train(self, runner: Runner) -> None:
        """Skip the batches that an iteration-based run was trained on, and restore gradients."""
        loop = runner.train_loop
        if self._gradients is not None:
            for parameter, gradient in zip(_parameters(runner), self._gradients):
                parameter.grad = None if gradient is None else gradient.to(parameter.device)
            self._gradients = None
        if isinstance(loop, IterBasedTrainLoop):
            self._into_epoch = 0
            if runner.iter:
                loop.dataloader_iterator = None  # stops its workers
                loop.dataloader_iterator = ResumedIterator(loop.dataloader, runner.iter)

    def before_train_epoch(self, runner: Runner) -> None:
        """Skip the batches of an unfinished epoch."""
        loop = runner.train_loop
        if isinstance(loop, IterBasedTrainLoop):
            return
        loop.dataloader.batch_sampler.sampler.set_epoch(runner.epoch)
        if self._into_epoch:
            loop.dataloader.batch_sampler.skip(self._into_epoch)
            _count_batches_from(loop, self._into_epoch)
            self._into_epoch = 0

    def after_train_epoch(self, runner: Runner) -> None:
        """Count batches from 0 again."""
        vars(runner.train_loop).pop('run_iter', None)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Seed all random generators for this iteration."""
        seed_iteration((runner.seed, runner.iter, get_rank()))

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Save gradients that are accumulated for the next step of the optimizer."""
        wrapper = runner.optim_wrapper
        if 'optimizer' not in checkpoint or not isinstance(wrapper, OptimWrapper) or wrapper.should_update():
            return
        gradients = [parameter.grad for parameter in _parameters(runner)]
        checkpoint['accumulated_gradients'] = [g if g is None else g.cpu() for g in gradients]


@HOOKS.register_module()
class MissedEvaluationHook(Hook):
    """Evaluate at the start of a resumed run if the interruption prevented it and the training depends on it.

    Checkpoints are saved before the evaluation. The best checkpoint, early stopping and some schedules depend
    on its results.
    """

    priority = 'LOWEST'
    _is_resumed = False
    _into_epoch = 0
    _is_evaluated = False  # no iteration was trained since the last evaluation

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Record whether the checkpoint was saved again after its evaluation."""
        is_evaluated = (checkpoint.get('meta') or {}).get('is_evaluated', False)
        self._is_resumed = bool(runner._resume) and not is_evaluated
        self._into_epoch = iterations_into_epoch(checkpoint)

    def before_train(self, runner: Runner) -> None:
        """Evaluate if it is due."""
        if self._is_resumed and runner.iter and self._is_due(runner) and _depends_on_evaluation(runner):
            runner.logger.info('Evaluating the resumed checkpoint, because its results are not known.')
            runner.val_loop.run()
        self._is_resumed = False

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Record whether the checkpoint is saved after its evaluation."""
        if self._is_evaluated:
            checkpoint['meta']['is_evaluated'] = True

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None
    ) -> None:
        """Record that the weights are evaluated, after the last image."""
        self._is_evaluated = batch_idx + 1 == len(runner.val_dataloader)

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """Record that the weights change."""
        self._is_evaluated = False

    def _is_due(self, runner: Runner) -> bool:
        loop: Any = runner.train_loop
        if runner.val_loop is None:
            return False
        is_by_iter = isinstance(loop, IterBasedTrainLoop)
        if self._into_epoch and not is_by_iter:
            return False
        now, last = (loop.iter, loop.max_iters) if is_by_iter else (loop.epoch, loop.max_epochs)
        loop._decide_current_val_interval()
        return now >= loop.val_begin and (now % loop.val_interval == 0 or now == last)


def _parameters(runner: Runner) -> List[Any]:
    wrapper = runner.optim_wrapper
    groups = wrapper.param_groups if isinstance(wrapper, OptimWrapper) else []
    return [parameter for group in groups for parameter in group['params']]


def _count_batches_from(loop: Any, start: int) -> None:
    """Count the batches of one epoch from ``start``, for the log and other hooks."""
    original = loop.run_iter
    loop.run_iter = lambda idx, data_batch: original(idx + start, data_batch)


def _depends_on_evaluation(runner: Runner) -> bool:
    if any(getattr(hook, 'save_best', None) or isinstance(hook, EarlyStoppingHook) for hook in runner.hooks):
        return True
    groups = groups_and_schedulers(runner).values()
    return any(getattr(scheduler, 'need_val_args', False) for _, own in groups for scheduler in own)
