"""COCO annotations for the Data Science Bowl 2018 nuclei: tools/nuclei_to_coco.py stage1_train data/nuclei"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.datasets import convert_nuclei


def main(argv=None):
    parser = argparse.ArgumentParser(description='Make a COCO-format data set from stage1_train.')
    parser.add_argument('src', help='the unpacked stage1_train folder')
    parser.add_argument('dst', help='folder to make, such as data/nuclei')
    parser.add_argument('--val', type=int, default=120, help='validation images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='seed of the split')
    with user_errors():
        convert_nuclei(**vars(parser.parse_args(argv)))


if __name__ == '__main__':
    main()
