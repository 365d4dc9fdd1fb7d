"""What a script calls: preparing and checking a run, loading converted weights."""

from .checks import check_fits, check_run
from .config import load_config, set_work_dir
from .errors import user_errors
from .evaluate import evaluate, prepare_evaluation
from .load import load_backbone

__all__ = [
    'check_fits',
    'check_run',
    'evaluate',
    'load_backbone',
    'load_config',
    'prepare_evaluation',
    'set_work_dir',
    'user_errors',
]
