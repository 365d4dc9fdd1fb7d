"""Verify that the weights of a checkpoint were loaded into the model of a run."""

import logging
from typing import Any, Dict, Optional

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...checkpoints.effect import LoadedWeightsError, predict, rename_for, verify
from ...checkpoints.mmengine_loading import for_mmengine
from ...checkpoints.starting_point import require_start, require_whole
from .learning_rate import unwrap_model


@HOOKS.register_module()
class LoadedWeightsHook(Hook):
    """Compare the model with the checkpoint after loading, and stop the run if too little was loaded.

    A test, a validation and a resume need all tensors of the model. A training that starts from a checkpoint
    needs all tensors of the backbone. The run stops before its first iteration.
    """

    priority = 'VERY_HIGH'  # before the EMAHook swaps the weights of the checkpoint

    def __init__(self) -> None:
        self._checkpoint: Optional[Dict[str, Any]] = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Store the weights under ``state_dict`` with the names of the model, in place."""
        try:
            state_dict = for_mmengine(checkpoint)['state_dict']
            checkpoint['state_dict'] = rename_for(unwrap_model(runner), state_dict)
        except ValueError as error:
            raise LoadedWeightsError(f'{_path(runner)}: {error}') from None
        self._checkpoint = checkpoint

    def before_train(self, runner: Runner) -> None:
        """Verify the weights that a training starts from."""
        self._verify(runner, is_whole_model=bool(runner._resume))

    def before_val(self, runner: Runner) -> None:
        """Verify the weights that are validated."""
        self._verify(runner, is_whole_model=True)

    def before_test(self, runner: Runner) -> None:
        """Verify the weights that are tested."""
        self._verify(runner, is_whole_model=True)

    def _verify(self, runner: Runner, is_whole_model: bool) -> None:
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint is None:
            return
        path, model = _path(runner), unwrap_model(runner)
        effect = predict(model, checkpoint['state_dict'])
        if effect is None:
            print_log(f'The weights loaded from {path} were not verified.', 'current', logging.WARNING)
            return
        if is_whole_model:
            require_whole(effect, path)
        else:
            require_start(effect, path)
        print_log(verify(model, effect, path), 'current')


def _path(runner: Runner) -> str:
    return str(runner._load_from or f'the last checkpoint of {runner.work_dir}')
