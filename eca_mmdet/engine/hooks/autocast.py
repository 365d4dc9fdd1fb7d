"""Train and test in bfloat16 on a CPU, although mmcv's operators do not support it there."""

import logging
from typing import Any, List, Optional, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..autocast_regions import Region, add_regions
from .learning_rate import unwrap_model

SLOW_BFLOAT16 = (
    'bfloat16 is slow on this processor because it lacks AVX-512. Convolutions take about 30 times as long '
    'as in float32. To use float32, leave out --amp, or remove the AutocastHook from the config.'
)
"""Measured on an AMD EPYC (Zen 3): a 3x3 convolution of 64 channels at 40 x 60 took 10 ms in float32 and
278 ms in bfloat16."""


@HOOKS.register_module()
class AutocastHook(Hook):
    """Run the convolutions of a detector in bfloat16, and mmcv's operators in float32.

    Use it on a CPU, where mmengine's ``AmpOptimWrapper`` does not work.

    After the first training iteration, or after a validation or test, the hook logs which parts of the
    detector computed in bfloat16.

    Args:
        parts: Names of the modules that compute in bfloat16; by default all of ``autocast_regions.PARTS``
            that the detector has.
    """

    def __init__(self, parts: Optional[Sequence[str]] = None) -> None:
        self.parts = parts
        self._unreported: List[Region] = []

    def before_run(self, runner: Runner) -> None:
        """Enable bfloat16, and warn if it is slow on this processor."""
        on_cpu = all(p.device.type == 'cpu' for p in unwrap_model(runner).parameters())
        if on_cpu and torch.backends.cpu.get_cpu_capability() in ('DEFAULT', 'AVX2'):
            print_log(SLOW_BFLOAT16, 'current', level=logging.WARNING)
        self._unreported = add_regions(unwrap_model(runner), self.parts)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None):
        """Log which parts computed in bfloat16 in the first iteration."""
        self._report('the first training iteration')

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Log which parts computed in bfloat16 in a validation without training."""
        self._report('the validation')

    def after_test_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Log which parts computed in bfloat16 in a test."""
        self._report('the test')

    def _report(self, when: str) -> None:
        regions, self._unreported = self._unreported, []
        if not regions:
            return
        computed = [region.name for region in regions if region.has_bfloat16]
        not_called = [region.name for region in regions if not region.has_run]
        in_float32 = [region.name for region in regions if region.has_run and not region.has_bfloat16]
        print_log(f'bfloat16 in {", ".join(computed) or "no part"}; float32 elsewhere', 'current')
        reasons = (not_called, f'not called in {when}'), (in_float32, 'none of its operations support it')
        for names, reason in reasons:
            if names:
                print_log(f'No bfloat16 in {", ".join(names)}: {reason}', 'current', level=logging.WARNING)
