"""Build the runner of a training."""

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner

from .make_resumable import make_resumable


class RunnerError(ValueError):
    """Raised if the runner of a config cannot be built."""


def build_runner(cfg: Config) -> Runner:
    """Build the runner of a training, of the class ``runner_type`` if the config sets one.

    It can be resumed exactly, see ``make_resumable``.

    Raises:
        RunnerError: If it cannot be built, for example because of its visualizer, seed or hooks.
    """
    try:
        runner = RUNNERS.build(cfg) if cfg.get('runner_type') else Runner.from_cfg(cfg)
        make_resumable(runner)
        return runner
    except Exception as error:  # a config can name any class
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise RunnerError(f'the run cannot be set up: {type(error).__name__}: {text}') from error
