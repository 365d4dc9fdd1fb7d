"""Parameters and multiply-adds: tools/model_cost.py configs/mask_rcnn_ecanet50_fpn_1x.py"""

import argparse
import json
from pathlib import Path

from eca_mmdet.analysis import (
    CONVENTIONS,
    build_backbone,
    build_detector,
    cost_data,
    cost_text,
    count_cost,
    find_variant,
    image_shape,
)
from eca_mmdet.apis import user_errors
from eca_mmdet.apis.dict_action import SpaceKeepingDictAction
from eca_mmdet.checkpoints.io import check_target


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description='Parameters and multiply-adds of a model, part by part.')
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument('config', nargs='?', help='config file of a detector, or eca_mmdet::NAME.py')
    what.add_argument('--backbone', metavar='NAME', help="a depth, timm's name or mobilenet_v2")
    what.add_argument('--table', action='store_true', help='the published tables beside computed values')
    parser.add_argument(
        '--shape',
        nargs='+',
        type=int,
        metavar='PIXELS',
        help='height and width, or one side (default: 800 1280 for a config, 224 224 for a backbone)',
    )
    parser.add_argument(
        '--classes', type=int, help='with --backbone: add a linear classifier of so many classes'
    )
    parser.add_argument(
        '--convention', choices=CONVENTIONS, help='what counts as an operation (default: macs, multiply-adds)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SpaceKeepingDictAction,
        metavar='KEY=VALUE',
        help='override the config, or the arguments of the backbone: attention=se frozen_stages=1',
    )
    parser.add_argument('--json', metavar='FILE', help='also write the figures as JSON')
    args = parser.parse_args(argv)
    if args.classes is not None and (not args.backbone or args.classes < 1):
        parser.error('--classes goes with --backbone and is at least 1')
    if args.table and (args.shape or args.convention or args.cfg_options):
        parser.error('--table has the models, image sizes and conventions of the published tables')
    return args


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        if args.json:
            check_target(args.json, overwrite=True)
        data, text = tables() if args.table else one_model(args)
    print(text)
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(data, indent=2) + '\n')


def tables():
    try:
        from published import compare_all, comparison_text
    except ModuleNotFoundError:
        raise ValueError('--table needs a checkout of the repository: the tables are not installed') from None
    data = compare_all()
    return data, comparison_text(data)


def one_model(args):
    default = find_variant(args.backbone)[0].input_size if args.backbone else (800, 1280)
    shape = image_shape(args.shape, default)
    if args.backbone:
        model = build_backbone(args.backbone, args.cfg_options, args.classes or 0)
    else:
        model = build_detector(args.config, args.cfg_options)
    name, convention = args.backbone or args.config, args.convention or 'macs'
    cost = count_cost(model, shape, CONVENTIONS[convention])
    title = f'{name}, image of {shape[0]}x{shape[1]} (height x width)'
    return cost_data(cost, model=name, shape=shape, convention=convention), cost_text(cost, title, convention)


if __name__ == '__main__':
    main()
