"""Building the runner of a config: the last step before data is read."""

from mmengine.config import Config
from mmengine.registry import RUNNERS
from mmengine.runner import Runner


class RunnerError(ValueError):
    """A config whose runner cannot be built."""


def build_runner(cfg: Config) -> Runner:
    """Build the runner, of the class that the config's ``runner_type`` names if it has one.

    Raises:
        RunnerError: If it cannot be built: of logs, visualizer, seed or hooks, for example.
    """
    try:
        return RUNNERS.build(cfg) if cfg.get('runner_type') else Runner.from_cfg(cfg)
    except Exception as error:  # a config of a user names any class
        text = error.args[0] if isinstance(error, KeyError) and error.args else error
        raise RunnerError(f'the run cannot be set up: {type(error).__name__}: {text}') from error
