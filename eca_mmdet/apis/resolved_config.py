"""Write the complete config of a training into its work directory, so that it can be repeated."""

from pathlib import Path

from mmengine.config import Config

from ..atomic_write import write_text


def write_resolved(cfg: Config, work_dir: str, name: str) -> Path:
    """Write a config atomically.

    mmengine writes the config of a run, too, but with what ``--resume`` has changed in it.

    Args:
        cfg: The config with all options applied, except ``--resume``.
        work_dir: The work directory of the run.
        name: File name of the config.

    Returns:
        The file.
    """
    path = Path(work_dir, Path(name).stem + '.py')
    return write_text(path, cfg.pretty_text)
