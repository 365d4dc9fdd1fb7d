"""Evaluate a detector: tools/test.py configs/mask_rcnn_ecanet50_fpn_1x.py CHECKPOINT"""

import argparse
import os

from mmengine.config import DictAction

from eca_mmdet.apis import (
    check_run,
    evaluate,
    load_config,
    prepare_evaluation,
    set_work_dir,
    user_errors,
)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Evaluate a detector: COCO bbox and segm AP.')
    parser.add_argument('config', help='config file, or eca_mmdet::NAME.py')
    parser.add_argument('checkpoint', help='checkpoint of the whole detector')
    parser.add_argument('--work-dir', help='folder for logs and results (default: work_dirs/NAME)')
    parser.add_argument('--out', help='where to write results (.json) or all predictions (.pkl)')
    parser.add_argument('--classwise', action='store_true', help='also report the AP of every class')
    parser.add_argument('--show-dir', help='folder for pictures: ground truth left, predictions right')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help='override the config, such as data_root=/data/coco',
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    # torchrun's older form passes the rank as an argument instead of LOCAL_RANK.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with user_errors():
        cfg = load_config(args.config, args.cfg_options)
        set_work_dir(cfg, args.work_dir, args.config)
        cfg.launcher = args.launcher
        cfg.load_from = args.checkpoint
        check_run(cfg, 'test')
        saved = prepare_evaluation(cfg, args.checkpoint, args.classwise, args.out, args.show_dir)
    evaluate(cfg, trained_iters=saved.get('meta', {}).get('iter'))


if __name__ == '__main__':
    main()
