"""Make a small dataset for image classification: tools/make_class_folders.py digits data/digits"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.datasets import make_digits, make_single_shapes

MAKERS = {'digits': make_digits, 'shapes': make_single_shapes}


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Write scikit-learn's digits or drawn shapes as folders train/CLASS and val/CLASS."
    )
    parser.add_argument('dataset', choices=MAKERS)
    parser.add_argument('root', help='folder to create, such as data/digits or data/single_shapes')
    args = parser.parse_args(argv)
    with user_errors((ImportError, OSError, ValueError)):
        print(f'dataset written to {MAKERS[args.dataset](args.root)}')


if __name__ == '__main__':
    main()
