"""Convert the Data Science Bowl 2018 nuclei to COCO: tools/nuclei_to_coco.py stage1_train data/nuclei"""

import argparse

from eca_mmdet.apis import user_errors
from eca_mmdet.datasets import convert_nuclei, masks_from_coco


def main(argv=None):
    parser = argparse.ArgumentParser(
        description='Convert the stage1_train folder to a COCO-format dataset with semantic masks.'
    )
    parser.add_argument('src', help='the unpacked stage1_train folder')
    parser.add_argument('dst', help='folder to create, such as data/nuclei')
    parser.add_argument('--val', type=int, default=120, help='validation images (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='random seed of the train/validation split')
    parser.add_argument(
        '--masks',
        action='store_true',
        help='src is a converted folder: write only semantic masks, and links to the images of src, to dst',
    )
    args = parser.parse_args(argv)
    with user_errors():
        if args.masks:
            masks_from_coco(args.src, args.dst, splits=['train', 'val'])
        else:
            convert_nuclei(args.src, args.dst, args.val, args.seed)


if __name__ == '__main__':
    main()
