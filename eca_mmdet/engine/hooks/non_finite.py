"""Stop at the first loss that is not a number, with what a user needs to go on."""

import math
from pathlib import Path
from typing import Dict, Optional

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from .learning_rate import above_linear_rule, linear_rule, param_groups, state_rate


class NonFiniteLossError(RuntimeError):
    """Training met a NaN or infinite loss or weight, and stopped."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Raises ``NonFiniteLossError`` at a NaN or infinite loss, before it can be saved.

    mmengine's ``RuntimeInfoHook`` already reads every loss on the host at every
    iteration, so this check adds no synchronisation of its own. Weights are checked
    once a checkpoint, so that the last one on disk is a good one.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict = None, outputs: Optional[dict] = None
    ) -> None:
        """Check the loss terms of this iteration."""
        losses = {k: float(torch.as_tensor(v).detach()) for k, v in (outputs or {}).items() if 'loss' in k}
        if not all(map(math.isfinite, losses.values())):
            raise NonFiniteLossError(self._message(runner, losses))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Refuse to save weights that are not finite."""
        broken = [
            key
            for key, value in checkpoint['state_dict'].items()
            if torch.is_floating_point(value) and not value.isfinite().all()
        ]
        if broken:
            raise NonFiniteLossError(
                f'{len(broken)} tensors are not finite, first {broken[0]}; this checkpoint is not saved. '
                + self._message(runner, {})
            )

    def _message(self, runner: Runner, losses: Dict[str, float]) -> str:
        terms = ', '.join(f'{name} {value:g}' for name, value in losses.items())
        now = max(group['lr'] for group in param_groups(runner))
        saved = Path(runner.work_dir, 'last_checkpoint')
        good = saved.read_text().strip() if saved.is_file() else 'none yet'
        lines = [
            f'training stopped at iteration {runner.iter + 1} (epoch {runner.epoch + 1}): '
            f'the loss or the weights are not finite',
            f'  loss terms       {terms or "finite until now"}',
            f'  rate and batch   {state_rate(runner)}; {now:g} at this iteration',
            f'  last checkpoint  {good}',
            f'  to do            {self._advice(runner)}',
        ]
        return '\n'.join(lines)

    def _advice(self, runner: Runner) -> str:
        wrapper = runner.optim_wrapper
        excess = above_linear_rule(runner)
        if excess > 1.01:
            return (
                f'lower the rate: it is {excess:.1f} times the linear rule; '
                f'--cfg-options optim_wrapper.optimizer.lr={linear_rule(runner):g} --no-auto-scale-lr, '
                'then --resume, which keeps the new rate'
            )
        if hasattr(wrapper, 'loss_scaler') and getattr(wrapper, 'cast_dtype', None) != torch.bfloat16:
            return (
                'float16 overflows above 65,504: train without --amp, or in bfloat16 with '
                '--cfg-options optim_wrapper.dtype=bfloat16; then --resume'
            )
        if not getattr(wrapper, 'clip_grad_kwargs', None):
            return (
                'clip the gradients, --cfg-options optim_wrapper.clip_grad.max_norm=35, or lengthen the '
                'warm-up, param_scheduler.0.end=1000; then --resume'
            )
        return 'halve the rate, and check the annotations for boxes outside their image; then --resume'
