"""Train a detector: tools/train.py configs/mask_rcnn_ecanet50_fpn_1x.py"""

import argparse

from mmengine.runner import Runner

from eca_mmdet.apis import add_run_options, check_run, config_of, use_amp, user_errors
from eca_mmdet.engine import NonFiniteLossError


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Train a detector.')
    parser.add_argument('config', help='config file, or eca_mmdet::NAME.py')
    parser.add_argument('--work-dir', help='folder for logs and checkpoints (default: work_dirs/NAME)')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='CKPT',
        help='go on from CKPT, or from the last checkpoint of the work folder',
    )
    parser.add_argument('--amp', action='store_true', help='train in mixed precision, on a CPU in bfloat16')
    parser.add_argument(
        '--no-auto-scale-lr',
        action='store_true',
        help='use the learning rate as it stands in the config, whatever the batch size',
    )
    parser.add_argument('--seed', type=int, help='seed of all random numbers')
    add_run_options(parser)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        cfg = config_of(args)
        if args.amp:
            use_amp(cfg)
        if args.no_auto_scale_lr:
            cfg.auto_scale_lr = dict(enable=False)
        if args.seed is not None:
            cfg.randomness = dict(seed=args.seed)
        if args.resume:
            cfg.resume = True
            cfg.load_from = None if args.resume == 'auto' else args.resume
        check_run(cfg, 'train')
    runner = Runner.from_cfg(cfg)
    with user_errors((NonFiniteLossError,), code=1):
        runner.train()


if __name__ == '__main__':
    main()
