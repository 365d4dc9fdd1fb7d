"""Inspect a dataset: tools/check_dataset.py data/coco --out report"""

import argparse

from eca_mmdet.apis import load_config, user_errors
from eca_mmdet.apis.config import expand_home
from eca_mmdet.apis.dict_action import SpaceKeepingDictAction


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Find the faults of a dataset: annotations, image files, and train against val. The exit '
        'code is 0 if training works with it, 1 if it does not, and 2 after wrong input.',
        epilog='example: python tools/make_shapes.py data/shapes && '
        'python tools/check_dataset.py data/shapes --out report',
    )
    parser.add_argument(
        'data', nargs='+', help='config of mmdet, COCO annotation file (or two: train val), or their folder'
    )
    parser.add_argument('--images', nargs='+', default=(), help='image folder of each annotation file')
    parser.add_argument(
        '--no-images', action='store_true', help='do not read the images, which takes longest'
    )
    parser.add_argument('--out', help='folder for index.html with sample images, and report.json')
    parser.add_argument('--samples', type=int, default=24, help='sample images (default: %(default)s)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=SpaceKeepingDictAction,
        default={},
        help='override the config, such as data_root=data/mine',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        from eca_mmdet.datasets.inspection import check_out, inspect_dataset, write_report

        data = args.data
        if len(data) == 1 and (data[0].endswith(('.py', '.yml', '.yaml')) or '::' in data[0]):
            data = load_config(data[0], args.cfg_options)
            expand_home(data)
        elif args.cfg_options:
            raise ValueError('--cfg-options needs a config, but annotation files are given')
        if args.out:
            check_out(args.out, args.samples)
        report = inspect_dataset(data, args.images, reads_images=not args.no_images)
        if args.out:
            write_report(report, args.out, args.samples)
    print(report.text())
    if args.out:
        print(f'report: {args.out}/index.html')
    raise SystemExit(0 if report.is_usable else 1)


if __name__ == '__main__':
    main()
