"""Verifies what a checkpoint did to the model of a run."""

import logging
from typing import Any, Dict, Optional

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...checkpoints.effect import LoadedWeightsError, predict, rename_for, verify
from ...checkpoints.mmengine_loading import for_mmengine
from ...checkpoints.starting_point import require_start, require_whole
from .learning_rate import model_of


@HOOKS.register_module()
class LoadedWeightsHook(Hook):
    """Compares the model with the checkpoint after loading, for training, resume and test.

    A test, a validation and a resume need every tensor of the model from the file; a training that
    starts from a file needs the whole backbone. Otherwise the run stops before its first step.
    """

    priority = 'VERY_HIGH'  # before the EMAHook swaps the checkpoint's weights

    def __init__(self) -> None:
        self._checkpoint: Optional[Dict[str, Any]] = None

    def after_load_checkpoint(self, runner: Runner, checkpoint: Dict[str, Any]) -> None:
        """Put the weights where mmengine takes them, under the model's names, in place."""
        try:
            state_dict = for_mmengine(checkpoint)['state_dict']
            checkpoint['state_dict'] = rename_for(model_of(runner), state_dict)
        except ValueError as error:
            raise LoadedWeightsError(f'{_path(runner)}: {error}') from None
        self._checkpoint = checkpoint

    def before_train(self, runner: Runner) -> None:
        """Verify what a training starts from."""
        self._verify(runner, whole=bool(runner._resume))

    def before_val(self, runner: Runner) -> None:
        """Verify what is validated."""
        self._verify(runner, whole=True)

    def before_test(self, runner: Runner) -> None:
        """Verify what is tested."""
        self._verify(runner, whole=True)

    def _verify(self, runner: Runner, whole: bool) -> None:
        checkpoint, self._checkpoint = self._checkpoint, None
        if checkpoint is None:
            return
        path, model = _path(runner), model_of(runner)
        effect = predict(model, checkpoint['state_dict'])
        if effect is None:
            print_log(f'What {path} filled was not verified.', 'current', logging.WARNING)
            return
        if whole:
            require_whole(effect, path)
        else:
            require_start(effect, path)
        print_log(verify(model, effect, path), 'current')


def _path(runner: Runner) -> str:
    return str(runner._load_from or f'the last checkpoint of {runner.work_dir}')
