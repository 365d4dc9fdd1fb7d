"""Resume without executing code from the checkpoint."""

from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner


@HOOKS.register_module()
class SafeResumeHook(Hook):
    """Remove ``meta['config']`` from a checkpoint before mmengine reads it.

    ``Runner.resume`` executes this text as Python code to look up ``gpu_ids``. mmengine itself does not save
    this entry. It saves ``cfg``, which is not executed. So a checkpoint with this entry is from mmdet 2.x, or
    malicious.
    """

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Remove the entry from ``checkpoint``, in place."""
        meta = checkpoint.get('meta')
        if isinstance(meta, dict) and meta.pop('config', None) is not None:
            runner.logger.warning(
                "The checkpoint's meta['config'] was removed, because it would be executed as code."
            )
