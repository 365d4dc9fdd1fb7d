"""Verify, link or download COCO: tools/prepare_coco.py --source /path/to/coco"""

import argparse

from eca_mmdet.apis import user_errors


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description='Verify a copy of COCO 2017 and link it into data/coco, or download it. Without options, '
        'data/coco is verified.',
        epilog='example: python tools/prepare_coco.py --source /path/to/coco --subset 1%%',
    )
    parser.add_argument('--source', help='an existing copy, which is verified and linked into the target')
    parser.add_argument('--target', default='data/coco', help='what the configs read (default: %(default)s)')
    parser.add_argument('--download', action='store_true', help='download what is missing (19 GiB in all)')
    parser.add_argument('--server', help='download from a mirror with the same paths')
    parser.add_argument(
        '--subset', metavar='SIZE', help='make a smaller dataset: 1%%, or 500 images per split'
    )
    parser.add_argument('--out', help='folder of the smaller dataset (default: data/coco_1_percent)')
    parser.add_argument(
        '--seed', type=int, default=0, help='random seed of the subset (default: %(default)s)'
    )
    parser.add_argument(
        '--copies', action='store_true', help='copy the images of the subset, do not link them'
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    with user_errors():
        from eca_mmdet.datasets.prepare_coco import prepare_coco

        print(prepare_coco(**vars(args)))


if __name__ == '__main__':
    main()
