"""Train a model: tools/train.py configs/mask_rcnn_ecanet50_fpn_1x.py"""

import argparse

from eca_mmdet.apis import (
    add_run_options,
    add_weights_hooks,
    build_runner,
    check_run,
    config_of,
    prepare_validation,
    resume_from,
    turn_off_lr_scaling,
    use_amp,
    use_atomic_checkpoints,
    use_seed,
    user_errors,
)
from eca_mmdet.checkpoints import LoadedWeightsError
from eca_mmdet.engine import NonFiniteLossError


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


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        cfg = training_config(args)
        add_weights_hooks(cfg)
        prepare_validation(cfg)
        check_run(cfg, 'train')
        use_atomic_checkpoints(cfg)
        runner = build_runner(cfg)
    with user_errors((NonFiniteLossError, LoadedWeightsError), code=1):
        runner.train()


if __name__ == '__main__':
    main()
