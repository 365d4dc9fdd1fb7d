"""Use the hook that writes checkpoints atomically in a config that has mmengine's."""

from mmengine.config import Config
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS


def use_atomic_checkpoints(cfg: Config) -> None:
    """Replace mmengine's ``CheckpointHook`` by ``AtomicCheckpointHook``. Other hooks are kept."""
    if cfg.get('default_hooks') is None:
        cfg.default_hooks = {}
    hooks = cfg.default_hooks
    hook = hooks.setdefault('checkpoint', dict(type='CheckpointHook', interval=1))
    if not isinstance(hook, dict):  # ``None`` turns the hook off
        return
    cls = HOOKS.get(hook['type']) if isinstance(hook.get('type'), str) else hook.get('type')
    if cls is CheckpointHook:
        hook['type'] = 'AtomicCheckpointHook'
