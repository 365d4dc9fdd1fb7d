"""Functions for scripts: prepare, check and run trainings and evaluations, and load checkpoints."""

from .build_runner import RunnerError, build_runner
from .check_weights import add_weights_hooks
from .config import load_config, set_work_dir
from .data_options import add_data_options, own_data_step
from .errors import user_errors
from .evaluate import evaluate, prepare_evaluation, prepare_validation
from .load import load_backbone
from .load_detector import load_detector
from .options import add_run_options, config_of, resume_from, turn_off_lr_scaling, use_amp, use_seed
from .resolved_config import write_resolved
from .run_checks import check_fits, check_run
from .run_tracking import add_report, use_tensorboard, use_wandb
from .safe_checkpoints import use_atomic_checkpoints
from .train import TrainingFailedError, train

__all__ = [
    'RunnerError',
    'TrainingFailedError',
    'add_data_options',
    'add_report',
    'add_run_options',
    'add_weights_hooks',
    'build_runner',
    'check_fits',
    'check_run',
    'config_of',
    'evaluate',
    'load_backbone',
    'load_config',
    'load_detector',
    'own_data_step',
    'prepare_evaluation',
    'prepare_validation',
    'resume_from',
    'set_work_dir',
    'train',
    'turn_off_lr_scaling',
    'use_amp',
    'use_atomic_checkpoints',
    'use_seed',
    'use_tensorboard',
    'use_wandb',
    'user_errors',
    'write_resolved',
]
