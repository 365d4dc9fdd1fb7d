"""Stop training at the first non-finite loss or weight, with advice on how to continue."""

import math
from typing import Dict, Optional

import torch
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...checkpoints.latest import read_pointer
from .learning_rate import describe_rate, linear_rule, param_groups, ratio_to_linear_rule


class NonFiniteLossError(RuntimeError):
    """Training stopped because a loss or weight is NaN or infinite."""


@HOOKS.register_module()
class NonFiniteLossHook(Hook):
    """Raise ``NonFiniteLossError`` if a loss is NaN or infinite.

    mmengine's ``RuntimeInfoHook`` reads all losses in every iteration, so this check does not synchronise the
    device once more. Weights are checked before a checkpoint is saved, so saved weights are always finite.
    """

    priority = 'VERY_HIGH'

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[dict] = None,
        outputs: Optional[dict] = None,
    ) -> None:
        """Check the losses of the iteration."""
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
                f'{len(broken)} tensors are not finite, first {broken[0]}. The checkpoint was not saved.\n'
                + self._message(runner, {})
            )

    def _message(self, runner: Runner, losses: Dict[str, float]) -> str:
        terms = ', '.join(f'{name} {value:g}' for name, value in losses.items())
        now = max(group['lr'] for group in param_groups(runner))
        good = read_pointer(runner.work_dir) or 'none yet'
        lines = [
            f'training stopped at iteration {runner.iter + 1} (epoch {runner.epoch + 1}): '
            f'the loss or the weights are not finite.',
            f'  loss terms       {terms or "finite"}',
            f'  rate and batch   {describe_rate(runner)}; {now:g} at this iteration',
            f'  last checkpoint  {good}',
            f'  advice           {self._advice(runner)}',
        ]
        return '\n'.join(lines)

    def _advice(self, runner: Runner) -> str:
        wrapper = runner.optim_wrapper
        ratio = ratio_to_linear_rule(runner)
        if ratio > 1.01:
            return (
                f'lower the rate, which is {ratio:.1f} times that of the linear rule, and resume:\n'
                '    --resume --no-auto-scale-lr --cfg-options '
                f'optim_wrapper.optimizer.lr={linear_rule(runner):g}'
            )
        if hasattr(wrapper, 'loss_scaler') and getattr(wrapper, 'cast_dtype', None) != torch.bfloat16:
            return (
                'float16 overflows above 65,504. Resume without --amp, or in bfloat16:\n'
                '    --resume --cfg-options optim_wrapper.dtype=bfloat16'
            )
        if not getattr(wrapper, 'clip_grad_kwargs', None):
            return (
                'resume with clipped gradients or a longer warm-up:\n'
                '    --resume --cfg-options optim_wrapper.clip_grad.max_norm=35\n'
                '    --resume --cfg-options param_scheduler.0.end=1000'
            )
        return 'halve the learning rate, check the annotations for boxes outside their image, and resume'
