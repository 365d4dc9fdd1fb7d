"""Evaluate a model: tools/test.py configs/mask_rcnn_ecanet50_fpn_1x.py CHECKPOINT"""

import argparse

from eca_mmdet.apis import (
    RunnerError,
    add_data_options,
    add_report,
    add_run_options,
    add_weights_hooks,
    check_run,
    config_of,
    evaluate,
    own_data_step,
    prepare_evaluation,
    user_errors,
)
from eca_mmdet.checkpoints import LoadedWeightsError


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Evaluate a model: AP of boxes and masks, PQ, mIoU or top-1 accuracy.'
    )
    parser.add_argument('config', help='config file, or eca_mmdet::NAME.py')
    parser.add_argument('checkpoint', help='checkpoint of the whole model')
    parser.add_argument('--work-dir', help='work directory for logs and results (default: work_dirs/NAME)')
    parser.add_argument('--out', help='file for the results (.json) or all predictions (.pkl)')
    parser.add_argument('--classwise', action='store_true', help='also report the results of every class')
    parser.add_argument('--show-dir', help='folder for visualizations: left ground truth, right predictions')
    add_data_options(parser)
    parser.add_argument(
        '--split',
        choices=['val', 'test'],
        help='with --data: the images to evaluate on (default: test if the folder has it, else val)',
    )
    add_run_options(parser)
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        cfg = config_of(args, prepare=own_data_step(args))
        cfg.load_from = args.checkpoint
        add_weights_hooks(cfg)
        check_run(cfg, 'test')
        saved = prepare_evaluation(cfg, args.checkpoint, args.classwise, args.out, args.show_dir)
        add_report(cfg)
    with user_errors((RunnerError,)), user_errors((LoadedWeightsError,), code=1):
        evaluate(cfg, trained_iters=saved.get('meta', {}).get('iter'))


if __name__ == '__main__':
    main()
