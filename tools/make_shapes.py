"""Draw a small COCO-format dataset of shapes: tools/make_shapes.py data/shapes"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.datasets import make_shapes


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Draw a small dataset for instance and semantic segmentation.'
    )
    parser.add_argument('root', help='folder to create')
    parser.add_argument('--train', type=int, default=600, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=100, help='validation images (default: %(default)s)')
    parser.add_argument('--size', type=int, default=160, help='image height and width (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='random seed (default: %(default)s)')
    with user_errors():
        root = make_shapes(**vars(parser.parse_args(argv)))
        print(f'dataset written to {root}')


if __name__ == '__main__':
    main()
