"""Count parameters and multiply-adds of a model: tools/model_cost.py configs/mask_rcnn_ecanet50_fpn_1x.py"""

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
    image_shape,
)
from eca_mmdet.apis import user_errors
from eca_mmdet.apis.dict_action import SpaceKeepingDictAction
from eca_mmdet.checkpoints.io import check_target


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Count the parameters and multiply-adds of each part of a model.'
    )
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument('config', nargs='?', help='config file of a detector, or eca_mmdet::NAME.py')
    target.add_argument('--backbone', metavar='NAME', help='a ResNet depth, a timm name or mobilenet_v2')
    target.add_argument(
        '--table', action='store_true', help='compare the published tables with computed values'
    )
    parser.add_argument(
        '--shape',
        nargs='+',
        type=int,
        metavar='PIXELS',
        help='image height and width, or one number for both '
        '(default: 800 1280 for a config, 224 224 for a backbone)',
    )
    parser.add_argument(
        '--classes', type=int, help='with --backbone: add a linear classifier with this number of classes'
    )
    parser.add_argument(
        '--convention',
        choices=CONVENTIONS,
        help='what counts as an operation (default: macs, that is multiply-adds)',
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SpaceKeepingDictAction,
        metavar='KEY=VALUE',
        help='override entries of the config, or arguments of the backbone: attention=se frozen_stages=1',
    )
    parser.add_argument('--json', metavar='FILE', help='also write the results to this JSON file')
    args = parser.parse_args(argv)
    if args.classes is not None and (not args.backbone or args.classes < 1):
        parser.error('--classes needs --backbone and must be at least 1')
    if args.table and (args.shape or args.convention or args.cfg_options):
        parser.error(
            '--table uses the image sizes and conventions of the published tables; '
            'remove --shape, --convention and --cfg-options'
        )
    return args


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        if args.json:
            check_target(args.json, overwrite=True)
        data, text = compare_published() if args.table else count_model(args)
    print(text)
    if args.json:
        Path(args.json).parent.mkdir(parents=True, exist_ok=True)
        Path(args.json).write_text(json.dumps(data, indent=2) + '\n')


def compare_published():
    try:
        from published import compare_all, comparison_text
    except ModuleNotFoundError:
        raise ValueError(
            '--table needs a checkout of the repository: the installed package has no published tables'
        ) from None
    data = compare_all()
    return data, comparison_text(data)


def count_model(args):
    shape = image_shape(args.shape, default=(224, 224) if args.backbone else (800, 1280))
    if args.backbone:
        model = build_backbone(args.backbone, args.cfg_options, args.classes or 0)
    else:
        model = build_detector(args.config, args.cfg_options)
    name, convention = args.backbone or args.config, args.convention or 'macs'
    cost = count_cost(model, shape, CONVENTIONS[convention])
    title = f'{name}, image {shape[0]}x{shape[1]} (height x width)'
    return cost_data(cost, model=name, shape=shape, convention=convention), cost_text(cost, title, convention)


if __name__ == '__main__':
    main()
