"""A resume that executes nothing from the checkpoint."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class SafeResumeHook(Hook):
    """Takes ``meta['config']`` out of a checkpoint before mmengine reads it.

    ``Runner.resume`` runs that text as Python to look up ``gpu_ids``. Checkpoints of
    mmengine do not have the entry (theirs is ``cfg``, which is only kept), so one that
    has it is of mmdet 2.x or meant to do harm.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Drop the entry from ``checkpoint``, in place."""
        meta = checkpoint.get('meta')
        if isinstance(meta, dict) and meta.pop('config', None) is not None:
            runner.logger.warning("The checkpoint's meta['config'] is not executed.")
