"""Save checkpoints so that a kill at any moment leaves one that can be resumed."""

from pathlib import Path
from typing import Any, Dict, Optional

from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from ...atomic_write import remove_leftovers
from ...checkpoints.latest import find_latest, write_pointer
from ..atomic_backend import AtomicBackend
from ..interruption import NAME as INTERRUPTED


@HOOKS.register_module()
class AtomicCheckpointHook(CheckpointHook):
    """Save checkpoints as mmengine's ``CheckpointHook``, but with every file complete or absent.

    First the checkpoint is written under a temporary name, flushed to the disk and renamed. Then the file
    ``last_checkpoint`` is replaced in the same way. It holds a path relative to the work directory, so that
    the folder can be moved. Outdated checkpoints are removed last.

    With ``backend_args`` or ``file_client_args``, for storage elsewhere, it works as mmengine's hook.
    """

    # Attributes of ``CheckpointHook``.
    file_backend: Any
    keep_ckpt_ids: Any
    backend_args: Optional[dict]
    best_ckpt_path: Optional[str]

    def before_run(self, runner: Runner) -> None:
        """Find the checkpoint to resume. mmengine would look for a relative path in the current folder."""
        if runner._resume and runner._load_from is None:
            latest = find_latest(runner.work_dir)
            runner._load_from = latest.path if latest else None

    def before_train(self, runner: Runner) -> None:
        """Remove what a killed run left behind."""
        folder = str(self.out_dir or runner.work_dir)
        if self.backend_args is None and self.file_client_args is None and '://' not in folder:
            self.backend_args = dict(backend='atomic')
        super().before_train(runner)
        if not self._is_local():
            return
        self._follow_moved_folder()
        if is_main_process():
            remove_leftovers(self.out_dir)
            remove_leftovers(runner.work_dir)
            for name in runner.message_hub.runtime_info.get('outdated_ckpts', []):
                self._remove_outdated(Path(self.out_dir, Path(str(name)).name))

    def _remove_outdated(self, path: Path) -> None:
        """Remove a checkpoint. The name may come from a hostile file, so nothing else is removed."""
        if path.suffix == '.pth' and path.is_file():
            self.file_backend.remove(str(path))

    def _is_local(self) -> bool:
        return isinstance(self.file_backend, AtomicBackend)

    def _follow_moved_folder(self) -> None:
        """Look for the best checkpoints in this folder, wherever they were when the checkpoint was saved.

        mmengine removes them by the path in the checkpoint, which may name any file.
        """
        paths: Dict[Optional[str], Any] = dict(getattr(self, 'best_ckpt_path_dict', {}))
        if getattr(self, 'best_ckpt_path', None):
            paths[None] = self.best_ckpt_path
        for key, path in paths.items():
            here = Path(self.out_dir, Path(path).name) if path else None
            found = str(here) if here and here.is_file() else None
            if key is None:
                self.best_ckpt_path = found
            else:
                self.best_ckpt_path_dict[key] = found

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if not self._is_local():
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        with self.file_backend.removals_last():
            name = self.filename_tmpl.format(step)
            self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
            self._outdate(runner, step)
            for path in Path(runner.work_dir).glob(INTERRUPTED.format('*')):
                self.file_backend.remove(str(path))
            runner.message_hub.update_info('last_ckpt', self.last_ckpt)
            # If the run is killed before their removal, the resumed run removes them.
            outdated = [Path(path).name for path in self.file_backend.outdated]
            runner.message_hub.update_info('outdated_ckpts', outdated)
            runner.save_checkpoint(
                self.out_dir,
                name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                backend_args=self.backend_args,
                **self.args,
            )
            if is_main_process():
                write_pointer(runner.work_dir, self.last_ckpt)

    def _outdate(self, runner: Runner, step: int) -> None:
        """Select the checkpoint that is one too many, to be removed last."""
        if self.max_keep_ckpts <= 0 or (self.keep_ckpt_ids and self.keep_ckpt_ids[-1] == step):
            return
        if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
            oldest = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            if is_main_process():
                self.file_backend.remove(self.file_backend.join_path(self.out_dir, oldest))
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        if not self._is_local():
            super()._save_best_checkpoint(runner, metrics)
            return
        with self.file_backend.removals_last():
            super()._save_best_checkpoint(runner, metrics)
