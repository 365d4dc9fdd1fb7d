"""What a script calls: preparing and checking a run, loading converted weights."""

from .checks import check_fits, check_run
from .config import load_config, set_work_dir
from .errors import user_errors
from .evaluate import evaluate, prepare_evaluation
from .load import load_backbone
from .load_detector import load_detector
from .options import add_run_options, config_of, use_amp

__all__ = [
    'add_run_options',
    'check_fits',
    'check_run',
    'config_of',
    'evaluate',
    'load_backbone',
    'load_config',
    'load_detector',
    'prepare_evaluation',
    'set_work_dir',
    'use_amp',
    'user_errors',
]
