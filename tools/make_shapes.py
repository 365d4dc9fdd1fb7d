"""Draw the project's own COCO-format data set: tools/make_shapes.py data/shapes"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.datasets import make_shapes


def main(argv=None):
    parser = argparse.ArgumentParser(description='Draw a small COCO-format instance data set.')
    parser.add_argument('root', help='folder to make')
    parser.add_argument('--train', type=int, default=600, help='training images (default: %(default)s)')
    parser.add_argument('--val', type=int, default=100, help='validation images (default: %(default)s)')
    parser.add_argument('--size', type=int, default=160, help='height and width (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0)
    with user_errors():
        root = make_shapes(**vars(parser.parse_args(argv)))
        print(f'data set in {root}')


if __name__ == '__main__':
    main()
