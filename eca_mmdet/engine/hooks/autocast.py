"""Half precision where mmengine has none: on a CPU, whose mmcv operators have no bfloat16."""

import logging
from typing import Any, List, Optional, Sequence

import torch
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ..autocast_regions import Region, add_regions
from .learning_rate import model_of

SLOW = (
    'torch has no fast bfloat16 for this processor, which lacks AVX-512: convolutions take some 30 times as '
    'long as in float32. Leave --amp or the AutocastHook out'
)
"""Measured on an AMD EPYC (Zen 3): a 3x3 convolution with 64 channels at 40 x 60 took 10 ms and 278 ms."""


@HOOKS.register_module()
class AutocastHook(Hook):
    """Trains and tests a detector's convolutions in bfloat16, where ``AmpOptimWrapper`` cannot.

    What computes in bfloat16 is logged after the first training iteration, or the first pass
    over the validation or test data, once it is known.

    Args:
        parts: Names of the detector's modules that compute so; by default those of mmdet's
            detectors that are made of convolutions and products.
    """

    def __init__(self, parts: Optional[Sequence[str]] = None) -> None:
        self.parts = parts
        self._unreported: List[Region] = []

    def before_run(self, runner: Runner) -> None:
        """Turn it on, with a warning where it will be slow."""
        on_cpu = all(p.device.type == 'cpu' for p in model_of(runner).parameters())
        if on_cpu and torch.backends.cpu.get_cpu_capability() in ('DEFAULT', 'AVX2'):
            print_log(SLOW, 'current', level=logging.WARNING)
        self._unreported = add_regions(model_of(runner), self.parts)

    def after_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None, outputs: Any = None):
        """Report what the first iteration computed in bfloat16."""
        self._report('the first training iteration')

    def after_val_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Report what a validation without training computed in bfloat16."""
        self._report('the validation')

    def after_test_epoch(self, runner: Runner, metrics: Optional[dict] = None) -> None:
        """Report what a test computed in bfloat16."""
        self._report('the test')

    def _report(self, when: str) -> None:
        regions, self._unreported = self._unreported, []
        if not regions:
            return
        computed = [region.name for region in regions if region.has_bfloat16]
        idle = [region.name for region in regions if not region.has_run]
        exact = [region.name for region in regions if region.has_run and not region.has_bfloat16]
        print_log(f'bfloat16 in {", ".join(computed) or "nothing"}; the rest in float32', 'current')
        for names, why in ((idle, f'not called in {when}'), (exact, 'no operation that has one')):
            if names:
                print_log(f'No bfloat16 in {", ".join(names)}: {why}', 'current', level=logging.WARNING)
