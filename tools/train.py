"""Train a model: tools/train.py configs/mask_rcnn_ecanet50_fpn_1x.py"""

import argparse
import shlex
import sys

from eca_mmdet.apis import (
    TrainingFailedError,
    add_run_options,
    add_weights_hooks,
    build_runner,
    check_run,
    config_of,
    prepare_validation,
    resume_from,
    train,
    turn_off_lr_scaling,
    use_amp,
    use_atomic_checkpoints,
    use_seed,
    user_errors,
)
from eca_mmdet.checkpoints import LoadedWeightsError
from eca_mmdet.engine import NonFiniteLossError, TrainingInterrupted
from eca_mmdet.environment import tool


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Train a detector, a segmentation model or a classifier.')
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
    add_run_options(parser)
    return parser.parse_args(argv)


def training_config(args):
    cfg = config_of(args)
    if args.amp:
        use_amp(cfg)
    if args.no_auto_scale_lr:
        turn_off_lr_scaling(cfg)
    if args.seed is not None:
        use_seed(cfg, args.seed)
    if args.resume:
        resume_from(cfg, args.resume)
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
        check_run(cfg, 'train')
        use_atomic_checkpoints(cfg)
        runner = build_runner(cfg)
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
