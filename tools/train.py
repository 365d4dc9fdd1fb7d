"""Train a model: tools/train.py configs/mask_rcnn_ecanet50_fpn_1x.py"""

import argparse
import shlex
import sys
from copy import deepcopy

from eca_mmdet.apis import (
    TrainingFailedError,
    add_data_options,
    add_report,
    add_run_options,
    add_weights_hooks,
    build_runner,
    check_run,
    config_of,
    own_data_step,
    prepare_validation,
    resume_from,
    train,
    turn_off_lr_scaling,
    use_amp,
    use_atomic_checkpoints,
    use_seed,
    use_tensorboard,
    use_wandb,
    user_errors,
    write_resolved,
)
from eca_mmdet.checkpoints import LoadedWeightsError
from eca_mmdet.engine import NonFiniteLossError, TrainingInterrupted
from eca_mmdet.environment import tool


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Train a detector, a segmentation model or a classifier.',
        epilog='example: python tools/train.py configs/mask_rcnn_ecanet18_fpn_small.py --data data/shapes',
    )
    parser.add_argument('config', help='config file, or eca_mmdet::NAME.py')
    parser.add_argument(
        '--work-dir', help='work directory for logs and checkpoints (default: work_dirs/NAME)'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='resume from CKPT, or from the last checkpoint in the work directory',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision (bfloat16 on a CPU)')
    parser.add_argument(
        '--no-auto-scale-lr',
        action='store_true',
        help='do not scale the learning rate of the config with the batch size',
    )
    parser.add_argument(
        '--seed', type=int, help='random seed; a resumed run keeps the seed of its checkpoint'
    )
    add_data_options(parser)
    parser.add_argument(
        '--from-scratch',
        action='store_true',
        help='train from random weights: nothing frozen, norms trained, a schedule that fits',
    )
    parser.add_argument('--tensorboard', action='store_true', help='also log to TensorBoard')
    parser.add_argument('--wandb', action='store_true', help='also log to Weights & Biases')
    add_run_options(parser)
    return parser.parse_args(argv)


def training_config(args):
    """Return the config with all options except ``--resume``."""
    cfg = config_of(args, prepare=own_data_step(args))
    if args.amp:
        use_amp(cfg)
    if args.no_auto_scale_lr:
        turn_off_lr_scaling(cfg)
    if args.seed is not None:
        use_seed(cfg, args.seed)
    if args.tensorboard:
        use_tensorboard(cfg)
    if args.wandb:
        use_wandb(cfg)
    return cfg


def resume_command(argv=None):
    """Return the command that continues this run."""
    words = list(sys.argv[1:] if argv is None else argv)
    if '--resume' in words:
        at = words.index('--resume')
        del words[at : at + 1 + (at + 1 < len(words) and not words[at + 1].startswith('--'))]
    return f'{tool("train.py")} {shlex.join([*words, "--resume"])}'


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        cfg = training_config(args)
        add_weights_hooks(cfg)
        prepare_validation(cfg)
        resolved = deepcopy(cfg)
        if args.resume:
            resume_from(cfg, args.resume)
        add_report(cfg)
        check_run(cfg, 'train')
        use_atomic_checkpoints(cfg)
        runner = build_runner(cfg)
        if runner.rank == 0:
            write_resolved(resolved, cfg.work_dir, cfg.filename)
    try:
        with user_errors((NonFiniteLossError, LoadedWeightsError, TrainingFailedError), code=1):
            train(runner)
    except TrainingInterrupted as stop:
        print(f'{stop}\nTo continue:\n    {resume_command(argv)}', file=sys.stderr)
        sys.exit(stop.exit_code)
    except KeyboardInterrupt:
        print('error: training stopped at once, without saving', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
